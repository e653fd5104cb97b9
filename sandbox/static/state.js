// What the page knows. Everything that is drawn is drawn from here.

const FRESH_WALK = {
  token: null,
  virtual: false,
  person: null,
  scan: null,
  product: null,
  campaign: null,
  member: null,
  position: null,
  captcha: null,
  draw: null,
  award: null,
  transfer: null,
  next: null,
  policy: null,
  receipt: false,
  outcomes: {},
  keys: {},
};

export const state = {
  apps: [],
  shoppers: [],
  shopperId: null,
  productUrl: "",
  sheet: null,
  code: null,
  codeTab: "sheet",
  tab: "walk",
  busy: null,
  wantVirtual: false,
  ageBand: "adult",
  guardian: false,
  place: "shanghai",
  ...FRESH_WALK,
};

export function startOver() {
  Object.assign(state, structuredClone(FRESH_WALK));
}

export function shopper() {
  return state.shoppers.find((one) => one.id === state.shopperId) ?? null;
}

export function appid() {
  return state.apps.find((app) => app.kind === "miniprogram")?.appid ?? null;
}

// One key for one intention: a repeat after a broken connection must not become a second draw.
export function keyFor(intention) {
  state.keys[intention] ??= crypto.randomUUID();
  return state.keys[intention];
}

export function forgetKey(intention) {
  delete state.keys[intention];
}
