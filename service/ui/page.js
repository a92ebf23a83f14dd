// The page: search box → predictions → product → question → streamed answer. All text goes in as text, never as HTML.

import { Connection } from "./connection.js";

const KEY = "hsc-answers";
const $ = (id) => document.getElementById(id);
const answers = new Map(Object.entries(JSON.parse(sessionStorage.getItem(KEY) || "{}")));
let predictions = [], selected = -1, chosen = null, lastRid = 0;

function element(tag, text, attributes = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function price(product) {
  return product.price === undefined ? "" : new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" }).format(product.price);
}

// ── searching ──

function typed() {
  connection.send({ type: "typing", content: $("search").value, rid: ++lastRid });
}

function showPredictions(message) {
  if (message.rid !== undefined && message.rid < lastRid) return;
  predictions = message.data;
  selected = predictions.length ? 0 : -1;
  $("results").replaceChildren(...predictions.map(predictionItem));
  $("search").setAttribute("aria-expanded", String(predictions.length > 0));
  $("count").textContent = $("search").value ? `${predictions.length} products match` : "";
  mark();
}

function predictionItem(item, number) {
  const { product, confidence } = item;
  const row = element("li", undefined, { role: "option", id: `option-${number}`, "data-product-id": product.id });
  const what = element("div", undefined, { class: "what" });
  what.append(element("strong", `${product.brand} ${product.name}`), element("p", [product.category, price(product)].filter(Boolean).join(" · "), { class: "soft" }));
  row.append(element("img", undefined, { src: product.images.main, alt: "", loading: "lazy" }), what, element("span", `${Math.round(confidence)} %`, { class: "soft", "aria-label": `confidence ${Math.round(confidence)} percent` }));
  row.addEventListener("click", () => choose(item));
  return row;
}

function mark() {
  [...$("results").children].forEach((row, number) => row.setAttribute("aria-selected", String(number === selected)));
  if (selected >= 0) $("search").setAttribute("aria-activedescendant", `option-${selected}`);
  else $("search").removeAttribute("aria-activedescendant");
}

function keyed(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && predictions.length) {
    selected = (selected + step + predictions.length) % predictions.length;
    mark();
    event.preventDefault();
  } else if (event.key === "Enter" && selected >= 0) {
    choose(predictions[selected]);
    event.preventDefault();
  } else if (event.key === "Escape") {
    $("search").value = "";
    typed();
  }
}

// ── a product ──

function choose({ product, context }) {
  chosen = product;
  $("picture").src = product.images.main;
  $("name").textContent = `${product.brand} ${product.name}`;
  $("facts").textContent = [product.category, `made in ${product.production_country}`, price(product)].filter(Boolean).join(" · ");
  $("description").textContent = product.description;
  const said = [product.category, product.production_country];
  $("specs").replaceChildren(...Object.entries(product.specs || {}).filter(([, value]) => !said.includes(value)).slice(0, 6).flatMap(([key, value]) => [element("dt", key.replaceAll("_", " ")), element("dd", String(value))]));
  showRelated(context.related_items);
  predictions = [];
  $("results").replaceChildren();
  $("search").setAttribute("aria-expanded", "false");
  selected = -1;
  mark();
  $("product").hidden = $("ask").hidden = false;
  $("question").focus();
}

function showRelated(items) {
  $("related").replaceChildren(...items.map((item) => {
    const row = element("li"), button = element("button", item.name, { class: "plain", type: "button", title: item.label });
    button.addEventListener("click", () => open(item.id));
    row.append(button);
    return row;
  }));
}

async function open(id) {
  const answer = await fetch(`/api/products/${encodeURIComponent(id)}`);
  if (answer.ok) choose(await answer.json());
}

// ── questions and answers ──

function ask(event) {
  event.preventDefault();
  const query = $("question").value.trim();
  if (!query || !chosen) return;
  const cmd = crypto.randomUUID ? crypto.randomUUID() : [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  answers.set(cmd, { title: `${chosen.brand} ${chosen.name}`, query, status: "Sending…", parts: [], done: false });
  connection.command({ type: "query", product_id: chosen.id, query, cmd });
  $("question").value = "";
  draw(cmd);
  $(`answer-${cmd}`).scrollIntoView({ block: "start" });
}

const UNSENT = ["Sending…", "Asking again…"];
const answerMessages = {
  ack: (answer) => { if (UNSENT.includes(answer.status)) answer.status = "Accepted…"; },
  status: (answer, message) => { answer.status = message.msg; },
  answer_chunk: (answer, message) => { answer.parts.push(message.content); },
  answer_reset: (answer) => { answer.parts = []; },
  final_answer: (answer, message) => { Object.assign(answer, { parts: message.content.split("\n\n"), status: "", done: true }); },
  error: (answer, message) => { Object.assign(answer, { status: message.message, done: !["retry", "busy"].includes(message.code) }); },
};

function received(message) {
  if (message.type === "prediction") showPredictions(message);
  else if (message.type === "renewed") renewed(message.reason);
  else if (answers.has(message.cmd) && answerMessages[message.type]) {
    const answer = answers.get(message.cmd);
    if (answer.done) return;
    answerMessages[message.type](answer, message);
    draw(message.cmd);
  }
}

// The server has forgotten the session, or a part of it: what was being answered is asked again, and what was shown of it starts anew.
function renewed(reason) {
  for (const [cmd, answer] of answers) {
    if (answer.done) continue;
    if (reason === "trimmed") answer.status = "Part of this was missed. Please ask again if nothing more comes.";
    else Object.assign(answer, { parts: [], status: UNSENT[1] });
    draw(cmd);
  }
}

function draw(cmd) {
  const answer = answers.get(cmd);
  let card = $(`answer-${cmd}`);
  if (!card) {
    card = element("article", undefined, { id: `answer-${cmd}` });
    $("answers").prepend(card);
  }
  card.setAttribute("aria-busy", String(!answer.done));
  const status = answer.status ? [element("p", answer.status, { class: "status" })] : [];
  card.replaceChildren(element("h3", `${answer.title}: ${answer.query}`), ...answer.parts.map(paragraph), ...status);
  remember();
}

// "(page 12)" stands out.
function paragraph(text) {
  const made = element("p");
  for (const piece of text.split(/(\(page \d+\))/)) made.append(/^\(page \d+\)$/.test(piece) ? element("span", piece, { class: "page" }) : piece);
  return made;
}

function remember() {
  sessionStorage.setItem(KEY, JSON.stringify(Object.fromEntries([...answers].slice(-20))));
}

// ── begin ──

const words = { connecting: "connecting…", open: "connected", closed: "reconnecting…", offline: "offline" };
const connection = new Connection({
  state: (name) => {
    $("connection").dataset.state = name;
    $("connection").textContent = words[name];
    if (name === "open" && $("search").value) typed();
  },
  message: received,
});
for (const cmd of answers.keys()) draw(cmd);
$("search").addEventListener("input", typed);
$("search").addEventListener("keydown", keyed);
$("ask").addEventListener("submit", ask);
$("question").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) ask(event); });
