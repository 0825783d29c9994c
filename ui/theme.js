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
