// The socket to the support centre: reconnects with backoff and jitter, resumes the session where it was, and asks again what has no answer yet
// (the server knows a command that it has, by its cmd).

const FIRST_WAIT = 250, LONGEST_WAIT = 8000, KEY = "hsc-session";

export class Connection {
  // on: {state(name), message(object)}. Storage keeps the session over a reload.
  constructor(on, storage = sessionStorage) {
    this.on = on;
    this.storage = storage;
    this.saved = JSON.parse(storage.getItem(KEY) || "null") || { session: "", token: "", epoch: "", offset: 0, waiting: [] };
    this.attempts = 0;
    this.greeted = false;
    this.accepted = new Set();
    // The socket of the old network may look open for minutes.
    addEventListener("online", () => { this.drop(); this.connect(); });
    addEventListener("offline", () => this.on.state("offline"));
    // What is shown and where we are in it must not be kept apart by a reload.
    addEventListener("pagehide", () => this.keep());
    this.connect();
  }

  connect() {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    clearTimeout(this.timer);
    const { session, token, epoch, offset } = this.saved;
    const query = new URLSearchParams(session ? { proto: 1, session, token, epoch, offset } : { proto: 1 });
    this.on.state("connecting");
    const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/ws?${query}`);
    this.socket = socket;
    this.greeted = false;
    socket.onopen = () => { this.on.state("open"); };
    socket.onmessage = (event) => { if (socket === this.socket) this.receive(JSON.parse(event.data)); };
    socket.onclose = () => { if (socket === this.socket) this.later(); };
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    if (socket) socket.close();
  }

  later() {
    this.on.state(navigator.onLine ? "closed" : "offline");
    this.greeted = false;
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.attempts++);
    this.timer = setTimeout(() => this.connect(), longest * (0.5 + Math.random() / 2));
  }

  receive(message) {
    if (message.type === "hello") return this.welcome(message);
    if (message.seq) {
      if (message.seq <= this.saved.offset) return;
      this.saved.offset = message.seq;
      this.keepSoon();
    }
    const again = message.type === "error" && (message.code === "retry" || message.code === "busy");
    if (again) setTimeout(() => this.resend(), 1000 + 1000 * Math.random());
    else if (message.type === "ack") this.accepted.add(message.cmd);
    else if (message.type === "final_answer" || (message.type === "error" && message.cmd)) this.settle(message.cmd);
    this.on.message(message);
  }

  welcome(hello) {
    this.attempts = 0;
    const lost = this.saved.session && !hello.recovered;
    Object.assign(this.saved, { session: hello.session, token: hello.token, epoch: hello.epoch, offset: hello.offset });
    this.greeted = true;
    this.accepted.clear();
    this.keep();
    if (lost) this.on.message({ type: "renewed", reason: hello.reason });
    this.resend();
  }

  settle(cmd) {
    this.saved.waiting = this.saved.waiting.filter((command) => command.cmd !== cmd);
    this.keep();
  }

  resend() {
    if (this.greeted) for (const command of this.saved.waiting) if (!this.accepted.has(command.cmd)) this.send(command);
  }

  // A command is kept until it is answered.
  command(message) {
    this.saved.waiting.push(message);
    this.keep();
    if (this.greeted) this.send(message);
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  keep() { this.storage.setItem(KEY, JSON.stringify(this.saved)); }

  // Many messages a second need not each be written.
  keepSoon() {
    this.keepTimer ||= setTimeout(() => {
      this.keepTimer = 0;
      this.keep();
      this.send({ type: "seen", seq: this.saved.offset });
    }, 1100);
  }
}
