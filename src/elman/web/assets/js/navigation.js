"use strict";

(() => {
  const elman = (window.elman = window.elman || {});
  const READ = "-30% 0px -69% 0px"; // the panel that is read crosses this height of the window

  /** Marks the panel that is read in the navigation, and keeps its name in sight where the row is too long. */
  elman.followPanels = () => {
    const links = [...document.querySelectorAll("nav a")];
    const row = document.querySelector("nav ul");
    const mark = (id) => {
      for (const link of links) link.removeAttribute("aria-current");
      const link = links.find(({ hash }) => hash === `#${id}`);
      link.setAttribute("aria-current", "true");
      row.scrollLeft = link.offsetLeft - (row.clientWidth - link.offsetWidth) / 2;
    };
    const observer = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) mark(target.id);
    }, { rootMargin: READ });
    for (const { hash } of links) observer.observe(document.querySelector(hash));
  };
})();
