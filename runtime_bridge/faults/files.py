"""tmp"""


class FileWatch:
    def __init__(self, files, sha256, **_):
        self.states = {}

    def check(self, at_us):
        return ()
