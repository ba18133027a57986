'use strict';
// Lists the models and draws a chosen one's power over its inputs, from nothing to the most seen in training.
const byId = (id) => document.getElementById(id);
const LIMIT = 50;
let offset = 0;

const get = async (path, options) => {
  const answer = await fetch(path, { headers: { Accept: 'application/json', 'Content-Type': 'application/json' }, ...options });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error);
  return body;
};

const cell = (row, text, name) => {
  const td = row.insertCell();
  td.textContent = text;
  if (name) td.className = name;
  return td;
};

const list = async () => {
  const query = new URLSearchParams([...new FormData(byId('filter'))].filter(([, value]) => value !== ''));
  query.set('limit', LIMIT);
  query.set('offset', offset);
  const page = await get(`models?${query}`);
  const last = offset + page.models.length;
  byId('count').textContent = page.total ? `${offset + 1} to ${last} of ${page.total} models` : 'No model fits';
  byId('back').disabled = offset === 0;
  byId('on').disabled = last >= page.total;
  const rows = page.models.map((model) => {
    const row = document.createElement('tr');
    const button = document.createElement('button');
    button.type = 'button';
    button.textContent = model.name;
    button.onclick = () => choose(model, row).catch(tell);
    cell(row, '').append(button);
    for (const text of [model.pipeline, model.source, model.output_type, model.group]) cell(row, text);
    cell(row, model.mae === null ? '' : model.mae.toFixed(2), 'number');
    return row;
  });
  byId('models').replaceChildren(...rows);
};

const choose = async (model, row) => {
  document.querySelector('tr.chosen')?.classList.remove('chosen');
  row.classList.add('chosen');
  const place = [model.pipeline, model.source, model.output_type, model.group, model.name];
  const card = await get(`models/${place.map(encodeURIComponent).join('/')}`);
  byId('card').hidden = false;
  byId('name').textContent = model.name;
  byId('text').textContent = card.text;
  const steps = Array.from({ length: 61 }, (_, step) => step / 60);
  const most = card.inputs.map((input) => input.max ?? input.scale);
  const estimate = await get('estimate', {
    method: 'POST',
    body: JSON.stringify({
      model: place.join('/'),
      features: card.inputs.map((input) => input.name),
      rows: steps.map((step) => most.map((max) => max * step)),
    }),
  });
  const part = estimate.components.package ? 'package' : 'platform';
  const figures = estimate.components[part];
  byId('curve').replaceChildren(draw(steps, figures, part));
  const sure = figures.level ? `; shaded: ${Math.round(figures.level * 100)} % of true values` : '';
  const inputs = card.inputs.map((input, i) => `${input.name} to ${most[i].toPrecision(3)} ${input.unit}`);
  byId('legend').textContent = `All inputs together: ${inputs.join(', ')}${sure}.`;
};

const health = async () => {
  const { health: reports } = await get('usage');
  byId('health').textContent = Object.values(reports).map(state).join('; ');
};

const state = ({ server, healthy, checked, replicas }) => {
  const missing = replicas.flatMap((replica) => replica.missing.filter((name) => !replica.pulled.includes(name)));
  const rest = missing.length ? ` (missing: ${missing.join(', ')})` : '';
  return `${server} was ${healthy ? 'healthy' : 'not healthy'} at ${checked}${rest}`;
};

const make = (name, attributes, text) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
};

const draw = (steps, { watts, low, high }, part) => {
  const [width, height, left, bottom, top] = [480, 300, 48, 30, 14];
  const peak = Math.max(...(high ?? watts), ...watts, 1);
  const unit = 10 ** Math.floor(Math.log10(peak));
  const tick = [0.2, 0.5, 1, 2].map((f) => f * unit).find((step) => peak / step <= 6) ?? unit * 2;
  const x = (step) => left + step * (width - left - 10);
  const y = (value) => height - bottom - (value / peak) * (height - bottom - top);
  const svg = make('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': `${part} power over load` });
  for (let value = 0; value <= peak; value += tick) {
    svg.append(make('line', { class: 'axis', x1: left, x2: width - 10, y1: y(value), y2: y(value) }));
    svg.append(make('text', { x: left - 6, y: y(value) + 4, 'text-anchor': 'end' }, `${+value.toPrecision(3)}`));
  }
  for (const share of [0, 0.5, 1]) {
    const anchor = share === 0 ? 'start' : share === 1 ? 'end' : 'middle';
    svg.append(make('text', { x: x(share), y: height - 10, 'text-anchor': anchor }, `${share * 100} %`));
  }
  const points = (values) => values.map((value, i) => `${x(steps[i]).toFixed(1)},${y(value).toFixed(1)}`);
  if (low) {
    svg.append(make('polygon', { class: 'band', points: [...points(high), ...points(low).reverse()].join(' ') }));
  }
  svg.append(make('polyline', { class: 'line', points: points(watts).join(' ') }));
  svg.append(make('text', { x: left + 6, y: top + 2 }, `${part}, W`));
  return svg;
};

const tell = (error) => { byId('count').textContent = `Failed: ${error.message}`; };

byId('filter').oninput = () => { offset = 0; list().catch(tell); };
byId('filter').onsubmit = (event) => event.preventDefault();
byId('back').onclick = () => { offset = Math.max(0, offset - LIMIT); list().catch(tell); };
byId('on').onclick = () => { offset += LIMIT; list().catch(tell); };
list().catch(tell);
health().catch(tell);
