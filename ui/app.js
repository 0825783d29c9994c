// The frame around every page: who is signed in, where we are, what the
// keyboard does.

import { html, useEffect, useErrorBoundary, useRef, useState } from "./vendor/preact.js";
import { Dialog } from "./components/controls.js";
import { Freshness } from "./components/freshness.js";
import { Icon } from "./components/icon.js";
import { lazy, NotLoaded } from "./components/lazy.js";
import { Toasts } from "./components/toasts.js";
import { ApiError } from "./lib/api.js";
import { language, setLanguage, t } from "./lib/i18n.js";
import { href, route } from "./lib/router.js";
import { may, session, signOut } from "./lib/session.js";
import { nextTheme, theme } from "./lib/theme.js";
import { failed } from "./lib/toasts.js";
import { visible } from "./lib/visible.js";
import { NotFoundPage } from "./pages/not_found.js";
import { OverviewPage } from "./pages/overview.js";
import { SignInForm, SignInPage } from "./pages/sign_in.js";

const Help = lazy(async () => (await import("./components/help.js")).Help, { words: [], styles: [] });
const AuditPage = lazy(async () => (await import("./pages/audit.js")).AuditPage, { words: ["audit"], styles: ["lists"] });
const CreatePage = lazy(async () => (await import("./pages/create.js")).CreatePage, { words: ["editing"], styles: ["editing"] });
const ServerPage = lazy(async () => (await import("./pages/server/page.js")).ServerPage, { words: ["servers", "editing", "server", "tokens"], styles: ["console", "editing", "lists"] });
const ServersPage = lazy(async () => (await import("./pages/servers.js")).ServersPage, { words: ["servers"], styles: ["lists"] });
const SettingsPage = lazy(async () => (await import("./pages/settings.js")).SettingsPage, { words: ["settings"], styles: ["lists"] });
const UsagePage = lazy(async () => (await import("./pages/usage.js")).UsagePage, { words: ["usage"], styles: ["lists"] });
const TokensPage = lazy(async () => (await import("./pages/tokens.js")).TokensPage, { words: ["tokens"], styles: ["lists"] });

export function App() {
  const [isHelpOpen, setHelpOpen] = useState(false);
  const { state, caller } = session.value;
  useEffect(() => {
    const onKey = (/** @type {KeyboardEvent} */ event) => shortcut(event, () => setHelpOpen(true));
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  if (state === "out") return html`<${Corner} /><${SignInPage} />`;
  return html`
    <a class="skip" href="#content" onClick=${skipToContent}>${t("nav.skip")}</a>
    <header class="top">
      <a class="brand" href=${href(["overview"])}><img src="/icons/emcp.svg" alt="" width="26" height="26" />EMCP</a>
      <nav aria-label=${t("nav.main")}>
        <${NavLink} to="overview" words=${t("nav.overview")} />
        <${NavLink} to="servers" words=${t("nav.servers")} />
        ${may("issue_tokens") && html`<${NavLink} to="tokens" words=${t("nav.tokens")} />`}
        ${may("see_usage") && html`<${NavLink} to="usage" words=${t("nav.usage")} />`}
        ${may("administer") && html`<${NavLink} to="audit" words=${t("nav.audit")} /><${NavLink} to="settings" words=${t("nav.settings")} />`}
      </nav>
      <div class="top-end">
        <button type="button" class="button icon-only quiet" aria-label=${t("help.title")} title=${`${t("help.title")} (?)`} onClick=${() => setHelpOpen(true)}>
          <${Icon} name="help" />
        </button>
        <${Preferences} />
        <span class="who" title=${caller && t(`role.${caller.role}`)}>${caller?.name}</span>
        <button type="button" class="button icon-only quiet" aria-label=${t("session.signOut")} title=${t("session.signOut")} onClick=${leave}>
          <${Icon} name="out" />
        </button>
      </div>
    </header>
    <main id="content" tabindex="-1"><${Freshness} /><${Guarded} /></main>
    <${Toasts} />
    ${isHelpOpen && html`<${Help} onClose=${() => setHelpOpen(false)} />`}
    ${state === "expired" &&
    html`<${Dialog} title=${t("session.expiredTitle")}>
      <p>${t("session.expired")}</p>
      <${SignInForm} />
    <//>`}
  `;
}

/** A page that cannot be drawn is not a blank one. */
function Guarded() {
  const [error, forget] = useErrorBoundary((/** @type {unknown} */ problem) => console.error(problem));
  const address = route.value.segments.join("/");
  useEffect(() => error && forget(), [address]);
  return error ? html`<${NotLoaded} error=${error} />` : html`<${Page} />`;
}

function Page() {
  const { segments, query } = route.value;
  const [first = "overview", second, third, ...rest] = segments;
  useNewPage(first, second);
  if (rest.length === 0) {
    if (first === "overview" && second === undefined) return html`<${OverviewPage} />`;
    if (first === "servers" && second === undefined) return html`<${ServersPage} query=${query} />`;
    if (first === "servers" && second !== undefined) return html`<${ServerPage} key=${second} name=${second} tab=${third ?? "overview"} />`;
    if (first === "new" && second === undefined && may("create_servers")) return html`<${CreatePage} />`;
    if (first === "tokens" && second === undefined && may("issue_tokens")) return html`<${TokensPage} />`;
    if (first === "usage" && second === undefined && may("see_usage")) return html`<${UsagePage} />`;
    if (first === "audit" && second === undefined && may("administer")) return html`<${AuditPage} query=${query} />`;
    if (first === "settings" && second === undefined && may("administer")) return html`<${SettingsPage} />`;
  }
  return html`<${NotFoundPage} />`;
}

/** The words for the window's title, by the beginning of the address. */
const TITLES = /** @type {const} */ ({
  overview: "nav.overview",
  servers: "nav.servers",
  new: "servers.new",
  tokens: "nav.tokens",
  usage: "nav.usage",
  audit: "nav.audit",
  settings: "nav.settings",
});

/**
 * What a browser does by itself where pages are documents: another title, the
 * view at the top, and the keyboard not left on a link that is gone.
 * @param {string} first
 * @param {string} [second]
 */
function useNewPage(first, second) {
  const isFirst = useRef(true);
  const key = Object.hasOwn(TITLES, first) ? TITLES[/** @type {keyof typeof TITLES} */ (first)] : "page.notFound";
  const title = `${visible(second ?? t(key))} · EMCP`;
  useEffect(() => {
    document.title = title;
  }, [title]);
  useEffect(() => {
    if (!isFirst.current) {
      scrollTo(0, 0);
      if (document.activeElement === document.body) document.getElementById("content")?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [first, second]);
}

/** @param {{ to: string, words: string }} props */
function NavLink({ to, words }) {
  const here = (route.value.segments[0] ?? "overview") === to;
  return html`<a href=${href([to])} aria-current=${here ? "page" : undefined}>${words}</a>`;
}

function Corner() {
  return html`<div class="corner"><${Preferences} /></div>`;
}

function Preferences() {
  const other = language.value === "en" ? "zh" : "en";
  const label = t("theme.label", { theme: t(`theme.${theme.value}`) });
  return html`
    <button type="button" class="button small quiet" lang=${other === "zh" ? "zh-CN" : "en"} onClick=${() => speak(other)}>
      ${other === "zh" ? "中文" : "English"}
    </button>
    <button type="button" class="button icon-only quiet" aria-label=${label} title=${label} onClick=${nextTheme}>
      <${Icon} name=${theme.value} />
    </button>
  `;
}

/** @param {import("./lib/i18n.js").Language} next */
function speak(next) {
  setLanguage(next).catch((problem) => failed(new ApiError(0, "no_answer", String(problem)), () => speak(next)));
}

function leave() {
  signOut().catch((error) => failed(error, leave));
}

/** @param {Event} event */
function skipToContent(event) {
  // The part behind "#" is the router's.
  event.preventDefault();
  document.getElementById("content")?.focus();
}

/**
 * @param {KeyboardEvent} event
 * @param {() => void} openHelp
 */
function shortcut(event, openHelp) {
  const [target] = event.composedPath();
  // Esc takes back a search, and then leaves its field.
  if (event.key === "Escape" && target instanceof HTMLInputElement && target.type === "search" && target.value === "") target.blur();
  const isTyping = target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const search = document.querySelector("[data-search]");
  if (event.key === "/" && search instanceof HTMLInputElement) {
    event.preventDefault();
    search.focus();
    search.select();
  } else if (event.key === "?" && session.peek().state === "in") {
    event.preventDefault();
    openHelp();
  } else if (event.key === "n" && may("create_servers")) {
    location.hash = href(["new"]);
  }
}
