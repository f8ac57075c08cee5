// Values under the pointer. The curves are drawn without this; it only reads the points that each picture carries.
for (const svg of document.querySelectorAll("svg[data-curves]")) {
  const curves = JSON.parse(svg.dataset.curves);
  const tip = svg.parentElement.querySelector(".tip");
  const rule = svg.querySelector(".rule");
  const nearest = (points, x) => points.reduce((a, b) => (Math.abs(b[0] - x) < Math.abs(a[0] - x) ? b : a));

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const scale = svg.viewBox.baseVal.width / box.width;
    const at = nearest(curves.flatMap((curve) => curve.points), (event.clientX - box.left) * scale);
    const rows = [["step", at[1], ""]];
    for (const curve of curves) {
      const point = nearest(curve.points, at[0]);
      if (Math.abs(point[0] - at[0]) < 12) rows.push([curve.name, point[2], curve.style]);
    }
    tip.replaceChildren(...rows.map(([name, value, style]) => {
      const row = document.createElement("div");
      const label = document.createElement("span");
      const figure = document.createElement("b");
      if (style) {
        const swatch = document.createElement("i");
        swatch.className = style;
        label.append(swatch);
      }
      label.append(name);
      figure.append(value);
      row.append(label, figure);
      return row;
    }));
    rule.style.visibility = "visible";
    rule.setAttribute("transform", `translate(${at[0]} 0)`);
    tip.style.display = "block";
    const left = svg.offsetLeft || box.left - svg.parentElement.getBoundingClientRect().left;
    const x = left + at[0] / scale;
    tip.style.left = `${x > box.width / 2 ? x - tip.offsetWidth - 12 : x + 12}px`;
    tip.style.top = `${box.top - svg.parentElement.getBoundingClientRect().top + 8}px`;
  });
  svg.addEventListener("pointerleave", () => {
    tip.style.display = "none";
    rule.style.visibility = "hidden";
  });
}
