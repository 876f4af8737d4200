// Search runs in a worker, which browsers refuse to pages opened from the file system: there a hidden frame does its work.
// Same interface as the package iframe-worker, which the theme would fetch from another host.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.onmessage = null;
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      this.heard = (event) => {
        if (event.source !== this.frame.contentWindow) return;
        const message = new MessageEvent("message", { data: event.data });
        this.dispatchEvent(message);
        if (this.onmessage) this.onmessage(message);
      };
      addEventListener("message", this.heard);
      this.ready = new Promise((resolve) => this.frame.addEventListener("load", resolve, { once: true }));
      const script = `
        self.postMessage = (data) => parent.postMessage(data, "*");
        self.importScripts = (...urls) => urls.reduce(
          (before, url) => before.then(() => new Promise((done) => {
            const element = document.createElement("script");
            element.src = url;
            element.addEventListener("load", done);
            document.body.appendChild(element);
          })), Promise.resolve());
        importScripts(${JSON.stringify(String(url))});`;
      const inside = this.frame.contentWindow.document;
      inside.open();
      inside.write(`<!doctype html><html><body><script>${script}<\/script></body></html>`);
      inside.close();
    }

    postMessage(data) {
      this.ready.then(() => {
        const inside = this.frame.contentWindow;
        inside.dispatchEvent(new inside.MessageEvent("message", { data: structuredClone(data) }));
      });
    }

    terminate() {
      removeEventListener("message", this.heard);
      this.frame.remove();
    }
  };
}
