// Players of the results: one plays at a time, its picture shows where it is, and a click there seeks.
(() => {
  const all = () => document.querySelectorAll(".tasnet audio");
  document.addEventListener("play", ({ target }) => {
    for (const audio of all()) if (audio !== target) audio.pause();
  }, true);
  document.addEventListener("timeupdate", ({ target }) => {
    const panel = target.closest(".tasnet .panel");
    panel?.style.setProperty("--played", target.currentTime / target.duration);
    panel?.style.setProperty("--head", "visible");
  }, true);
  document.addEventListener("click", ({ target, clientX }) => {
    const picture = target.closest(".tasnet .picture");
    const audio = picture?.closest(".panel").querySelector("audio");
    if (!audio?.duration) return;
    const { left, width } = picture.getBoundingClientRect();
    audio.currentTime = ((clientX - left) / width) * audio.duration;
    audio.play();
  });
})();
