// The other three pages of the mini-program: my awards, my points, my member code.

import { state } from "./state.js";
import { button, element } from "./view.js";
import { prizeText, takeUp } from "./walk.js";
import { product } from "./wire.js";
import { currentLanguage, word } from "./words.js";

const API = "/miniprogram/v1";
const LOADERS = { awards: loadAwards, points: loadPoints, code: loadCode };
// What each page has loaded, for which session.
const loaded = {};

export function drawTab(tab, openTab) {
  if (!state.token) return [message(word("login_first"))];
  const entry = loaded[tab];
  if (!entry || entry.token !== state.token) {
    loaded[tab] = { token: state.token, nodes: () => [message(word("waiting"))] };
    load(tab, openTab);
  }
  const refresh = button(word("refresh"), () => {
    loaded[tab] = null;
    openTab(tab);
  }, { kind: "quiet" });
  return [...loaded[tab].nodes(), element("div", { className: "row end" }, refresh)];
}

async function load(tab, openTab) {
  const token = state.token;
  try {
    const nodes = await LOADERS[tab](openTab);
    loaded[tab] = { token, nodes };
  } catch (error) {
    loaded[tab] = { token, nodes: () => [failure(error)] };
  }
  if (state.tab === tab) openTab(tab);
}

function message(text) {
  return element("section", { className: "card" }, element("p", { className: "hint", text }));
}

function failure(error) {
  return element(
    "section",
    { className: "card" },
    element("p", { className: "outcome bad", role: "alert" }, element("code", { text: error.code ?? "error" }), ` ${error.message}`),
  );
}

function moment(text) {
  return new Date(text).toLocaleString(currentLanguage() === "zh" ? "zh-CN" : "en-GB");
}

function itemsOf(answer) {
  return Array.isArray(answer.items) ? answer.items : [];
}

async function loadAwards(openTab) {
  const awards = itemsOf(await product("GET", `${API}/awards?limit=20`, { token: state.token }));
  return () => (awards.length ? awards.map((award) => awardCard(award, openTab)) : [message(word("no_awards"))]);
}

function awardCard(award, openTab) {
  const collectible = ["collectible", "locked"].includes(award.state) && award.kind === "money";
  return element(
    "section",
    { className: "card award" },
    element("strong", { text: prizeText(award) || award.id }),
    element("span", { className: `state ${award.state}`, text: word(`state_${award.state}`) }),
    collectible && award.deadline_at ? element("small", { text: `${word("deadline")} ${moment(award.deadline_at)}` }) : null,
    collectible
      ? button(word("act_collect"), () => {
          takeUp(award);
          loaded.awards = null;
          openTab("walk");
        })
      : null,
  );
}

async function loadPoints() {
  const [summary, answer] = await Promise.all([
    product("GET", `${API}/points`, { token: state.token }),
    product("GET", `${API}/points/entries?limit=20`, { token: state.token }),
  ]);
  const entries = itemsOf(answer);
  return () => [
    element(
      "section",
      { className: "card points" },
      element("span", { text: word("balance") }),
      element("b", { text: String(summary.points ?? 0) }),
    ),
    ...(entries.length ? entries.map(entryCard) : [message(word("no_points"))]),
  ];
}

function entryCard(entry) {
  const amount = entry.points ?? 0;
  return element(
    "section",
    { className: "card entry" },
    element("span", { text: [entry.kind, entry.manner].filter(Boolean).join(" · ") }),
    element("b", { text: amount > 0 ? `+${amount}` : String(amount) }),
    element("small", { text: entry.at ? moment(entry.at) : "" }),
  );
}

async function loadCode() {
  const answer = await product("GET", `${API}/me/code`, { token: state.token });
  const text = answer.code ?? "";
  return () => [
    element(
      "section",
      { className: "card member-code" },
      // As an image the SVG can show something but not run anything.
      answer.svg ? element("img", { alt: word("tab_code"), src: `data:image/svg+xml;charset=utf-8,${encodeURIComponent(answer.svg)}` }) : null,
      element("code", { text }),
      element("p", { className: "hint", text: word("member_code_hint") }),
    ),
  ];
}
