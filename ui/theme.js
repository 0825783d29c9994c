// A classic script, run before the first paint: a page never flashes in the
// wrong theme. lib/theme.js changes it later.
(() => {
  let theme = null;
  try {
    theme = localStorage.getItem("emcp.theme");
  } catch {
    // Storage may be forbidden; then the system's theme it is.
  }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();

// It also says so where the dashboard did not start, since what should have
// started it may not have come.
(() => {
  /**
   * @param {string} id what to show, of what index.html has
   * @param {string} why
   */
  const tell = (id, why) => {
    if (document.readyState === "loading") {
      addEventListener("DOMContentLoaded", () => tell(id, why));
      return;
    }
    document.getElementById("starting")?.remove();
    const page = document.getElementById(id);
    if (page) page.hidden = false;
    const words = document.getElementById("not-loaded-why");
    if (words) words.textContent = why;
  };
  addEventListener("not-started", (event) => {
    if (event instanceof CustomEvent) tell(event.detail.id, event.detail.why);
  });
  // A script that does not arrive tells its own element alone.
  addEventListener("error", ({ target }) => target instanceof HTMLScriptElement && tell("not-loaded", target.src), true);
})();
