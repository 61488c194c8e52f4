//! Draws a picture of a part of the log: a pane for each unit, one above the other, over one axis of time.
//!
//! It draws what it is given, and asks nothing.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;

use host::settings::Alarm;
use js_sys::Array;
use ui::dom::{root, window};
use ui::text::say;
use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::Part;
use crate::records::store::{Happened, Picture, Series, Stretch};
use crate::records::ticks::{self, Tick};

/// How many lines look different from each other.
pub(crate) const LINES: usize = 5;
/// What each of them looks like besides its colour: dashes and spaces in pixels.
const DASHES: [&[f64]; LINES] = [
    &[],
    &[9.0, 4.0],
    &[2.0, 3.0],
    &[12.0, 3.0, 2.0, 3.0],
    &[5.0, 5.0],
];
/// The same of a threshold.
const THRESHOLD: &[f64] = &[3.0, 3.0];
/// Height of a pane, between two of them, above and below all, in pixels.
const PANE: f64 = 132.0;
const BETWEEN: f64 = 32.0;
const ABOVE: f64 = 40.0;
const BELOW: f64 = 62.0;
/// Left of all: room for values.
const LEFT: f64 = 60.0;
const RIGHT: f64 = 12.0;
/// Between two times on the axis.
const TIME_APART: f64 = 100.0;
/// Points that are further apart get a dot each.
const DOTS_APART: f64 = 9.0;

/// A line that goes up and down by so many times its width has neither dashes nor, where it has a band, a middle.
const STEEP: f64 = 4.0;
/// Steps from point to point that go into one path. Without a graphics processor a browser draws a path in a time that
/// grows faster than its length when its edges cross: a thousand points of noise take 30 ms as one, 2 ms in such pieces.
const TOGETHER: usize = 16;

/// What the page's style says.
#[derive(Clone)]
pub(crate) struct Theme {
    ink: String,
    soft: String,
    line: String,
    bad: String,
    accent: String,
    lines: [String; LINES],
}

impl Theme {
    /// As it is now.
    pub(crate) fn read() -> Theme {
        let style = window().get_computed_style(&root()).ok().flatten();
        let of = |name: &str| {
            let value = style
                .as_ref()
                .and_then(|style| style.get_property_value(name).ok());
            value.unwrap_or_default()
        };
        Theme {
            ink: of("--ink"),
            soft: of("--soft"),
            line: of("--line"),
            bad: of("--bad"),
            accent: of("--accent"),
            lines: core::array::from_fn(|index| of(&["--line-", &index.to_string()].concat())),
        }
    }
}

/// What lies where.
pub(crate) struct Layout {
    /// Of the whole, in pixels.
    pub(crate) width: f64,
    /// Where the plot begins.
    pub(crate) left: f64,
    height: f64,
    panes: Vec<Pane>,
}

/// Lines of one unit.
struct Pane {
    unit: String,
    lines: Vec<usize>,
    /// Values beyond which some of them are marked.
    thresholds: Vec<f64>,
}

impl Layout {
    /// For so many pixels and these lines, with the threshold of each that has one.
    pub(crate) fn new(width: f64, series: &[(Series, Option<Alarm>)], hidden: &[usize]) -> Layout {
        let mut panes: Vec<Pane> = Vec::new();
        for (index, (series, alarm)) in series.iter().enumerate() {
            if hidden.contains(&index) {
                continue;
            }
            let threshold = alarm.map(|alarm| f64::from(alarm.threshold) / 1000.0);
            match panes.iter_mut().find(|pane| pane.unit == series.unit) {
                Some(pane) => {
                    pane.lines.push(index);
                    pane.thresholds.extend(threshold);
                }
                None => panes.push(Pane {
                    unit: series.unit.clone(),
                    lines: Vec::from([index]),
                    thresholds: threshold.into_iter().collect(),
                }),
            }
        }
        Layout {
            width,
            left: LEFT,
            height: ABOVE + BELOW + panes.len() as f64 * (PANE + BETWEEN) - BETWEEN,
            panes,
        }
    }

    /// Of the part where lines are.
    pub(crate) fn plot_width(&self) -> f64 {
        self.width - self.left - RIGHT
    }
}

/// From places to pixels.
struct Scale {
    from: f64,
    left: f64,
    by: f64,
}

impl Scale {
    fn x(&self, place: f64) -> f64 {
        self.left + (place - self.from) * self.by
    }
}

/// Draws all of it anew.
pub(crate) fn draw(
    canvas: &HtmlCanvasElement,
    layout: &Layout,
    theme: &Theme,
    picture: &Picture,
    view: Part,
    selection: Option<Part>,
    cursor: Option<f64>,
) {
    let Some(pen) = canvas
        .get_context("2d")
        .ok()
        .flatten()
        .and_then(|context| context.dyn_into::<CanvasRenderingContext2d>().ok())
    else {
        return;
    };
    let density = window().device_pixel_ratio();
    let (width, height) = (layout.width * density, layout.height * density);
    if canvas.width() != width as u32 || canvas.height() != height as u32 {
        canvas.set_width(width as u32);
        canvas.set_height(height as u32);
        if let Ok(style) = js_sys::Reflect::get(canvas, &"style".into()) {
            let height = [&layout.height.to_string(), "px"].concat();
            let _ = js_sys::Reflect::set(&style, &"height".into(), &height.into());
        }
    }
    let _ = pen.set_transform(density, 0.0, 0.0, density, 0.0, 0.0);
    pen.clear_rect(0.0, 0.0, layout.width, layout.height);
    pen.set_font("13px ui-sans-serif, system-ui, sans-serif");
    let scale = Scale {
        from: view.from,
        left: layout.left,
        by: layout.plot_width() / (view.to - view.from),
    };
    let drawing = Drawing {
        pen,
        layout,
        theme,
        picture,
        view,
        scale,
    };
    drawing.all(selection, cursor);
}

struct Drawing<'a> {
    pen: CanvasRenderingContext2d,
    layout: &'a Layout,
    theme: &'a Theme,
    picture: &'a Picture,
    view: Part,
    scale: Scale,
}

impl Drawing<'_> {
    fn all(&self, selection: Option<Part>, cursor: Option<f64>) {
        let (pen, layout) = (&self.pen, self.layout);
        let bottom = layout.height - BELOW;
        let right = layout.width - RIGHT;
        self.axis();
        pen.save();
        pen.begin_path();
        pen.rect(layout.left, 0.0, right - layout.left, layout.height);
        pen.clip();
        self.gaps();
        if let Some(Part { from, to }) = selection {
            let (from, to) = (self.scale.x(from), self.scale.x(to));
            pen.set_fill_style_str(&self.theme.accent);
            pen.set_global_alpha(0.16);
            pen.fill_rect(from, ABOVE, to - from, bottom - ABOVE);
            pen.set_global_alpha(1.0);
            for x in [from, to] {
                self.line(&self.theme.accent, x, ABOVE, x, bottom);
            }
        }
        pen.restore();
        for (index, pane) in layout.panes.iter().enumerate() {
            self.pane(pane, ABOVE + index as f64 * (PANE + BETWEEN));
        }
        pen.save();
        pen.begin_path();
        pen.rect(
            layout.left - 6.0,
            0.0,
            right - layout.left + 12.0,
            layout.height,
        );
        pen.clip();
        self.marks();
        if let Some(cursor) = cursor {
            let x = self.scale.x(cursor);
            self.line(&self.theme.ink, x, ABOVE, x, bottom);
        }
        pen.restore();
    }

    fn line(&self, colour: &str, x: f64, y: f64, to_x: f64, to_y: f64) {
        let pen = &self.pen;
        pen.set_stroke_style_str(colour);
        pen.set_line_width(1.0);
        pen.begin_path();
        pen.move_to(x, y);
        pen.line_to(to_x, to_y);
        pen.stroke();
    }

    fn text(&self, text: &str, x: f64, y: f64, align: &str) {
        self.pen.set_text_align(align);
        let _ = self.pen.fill_text(text, x, y);
    }

    /// Times: of this computer's place where UTC is known, since the start of the logger where it is not.
    fn axis(&self) {
        let (pen, layout, view) = (&self.pen, self.layout, self.view);
        let bottom = layout.height - BELOW;
        let least = TIME_APART / self.scale.by;
        let mut zone = None;
        // Behind the last word: stretches may begin close together, as where the clock was set.
        let mut free = f64::NEG_INFINITY;
        for stretch in &self.picture.axis {
            let ticks: Vec<Tick> = self.ticks(stretch, least);
            if let (Some(shift), Some(tick), None) = (stretch.shift, ticks.first(), &zone) {
                zone = Some(ticks::zone(tick.at + shift));
            }
            pen.set_fill_style_str(&self.theme.soft);
            for tick in ticks {
                let x = self.scale.x(tick.at);
                if tick.at < view.from || tick.at > view.to {
                    continue;
                }
                self.line(&self.theme.line, x, ABOVE, x, bottom + 4.0);
                let half = TIME_APART / 2.0 - 10.0;
                let middle = x.clamp(layout.left - 20.0 + half, layout.width - half);
                if middle - half < free {
                    continue;
                }
                free = middle + half;
                self.text(&tick.label, middle, bottom + 18.0, "center");
                self.text(&tick.below, middle, bottom + 35.0, "center");
            }
        }
        pen.set_fill_style_str(&self.theme.soft);
        let words = match zone {
            Some(zone) => say!("Times of this computer ({zone})", zone),
            None => say!("Since power came up: the time is not known"),
        };
        self.text(&words, layout.width - RIGHT, bottom + 54.0, "right");
    }

    fn ticks(&self, stretch: &Stretch, least: f64) -> Vec<Tick> {
        let from = stretch.start.max(self.view.from);
        let to = stretch.end.min(self.view.to);
        if from >= to {
            return Vec::new();
        }
        // Of its own time, and back to the axis.
        let shift = stretch.shift.unwrap_or(stretch.clock - stretch.start);
        let mut ticks = match stretch.shift {
            Some(_) => ticks::times(from + shift, to + shift, least),
            None => ticks::spans(from + shift, to + shift, least),
        };
        for tick in &mut ticks {
            tick.at -= shift;
        }
        ticks
    }

    /// Where there are no records, or their time is not known.
    fn gaps(&self) {
        let picture = self.picture;
        for (index, place) in picture.places.iter().enumerate() {
            if index > 0 && picture.breaks[index] == 1 {
                self.hatch(picture.places[index - 1], *place, 7.0);
            }
        }
        for stretch in &picture.axis {
            if stretch.shift.is_none() {
                self.hatch(stretch.start, stretch.end, 28.0);
            }
        }
    }

    fn hatch(&self, from: f64, to: f64, apart: f64) {
        let pen = &self.pen;
        let (top, bottom) = (ABOVE, self.layout.height - BELOW);
        let from = self.scale.x(from).max(self.layout.left);
        let to = self.scale.x(to).min(self.layout.width - RIGHT);
        if to - from < 1.0 {
            return;
        }
        pen.save();
        pen.begin_path();
        pen.rect(from, top, to - from, bottom - top);
        pen.clip();
        pen.set_stroke_style_str(&self.theme.line);
        pen.set_line_width(1.0);
        pen.begin_path();
        // At the same places of the plot, whatever is looked at.
        let mut x = ticks::floor((from - (bottom - top)) / apart) * apart;
        while x < to {
            pen.move_to(x, bottom);
            pen.line_to(x + (bottom - top), top);
            x += apart;
        }
        pen.stroke();
        pen.restore();
    }

    /// What happened, above the panes, and where a channel was beyond its alarm threshold.
    fn marks(&self) {
        let pen = &self.pen;
        pen.set_fill_style_str(&self.theme.bad);
        for (place, alarms) in self.picture.places.iter().zip(&self.picture.alarms) {
            if *alarms != 0 && (self.view.from..=self.view.to).contains(place) {
                pen.begin_path();
                let _ = pen.arc(self.scale.x(*place), 22.0, 2.5, 0.0, core::f64::consts::TAU);
                pen.fill();
            }
        }
        for (place, what) in &self.picture.marks {
            if *place < self.view.from || *place > self.view.to {
                continue;
            }
            let x = self.scale.x(*place);
            let colour = if what & Happened::MISSING != 0 {
                &self.theme.bad
            } else {
                &self.theme.soft
            };
            pen.set_fill_style_str(colour);
            pen.begin_path();
            if what & Happened::START != 0 {
                pen.move_to(x, 6.0);
                pen.line_to(x + 5.0, 15.0);
                pen.line_to(x - 5.0, 15.0);
            } else if what & Happened::CHANGE != 0 {
                pen.move_to(x, 5.0);
                pen.line_to(x + 5.0, 10.0);
                pen.line_to(x, 15.0);
                pen.line_to(x - 5.0, 10.0);
            } else {
                pen.rect(x - 1.5, 5.0, 3.0, 10.0);
            }
            pen.fill();
        }
    }

    fn pane(&self, pane: &Pane, top: f64) {
        let (pen, layout) = (&self.pen, self.layout);
        let (least, most) = self.bounds(pane);
        let y = |value: f64| top + PANE - (value - least) / (most - least) * PANE;
        pen.set_fill_style_str(&self.theme.soft);
        for tick in ticks::values(least, most, 4.0) {
            let y = y(tick.at);
            self.line(&self.theme.line, layout.left, y, layout.width - RIGHT, y);
            self.text(&tick.label, layout.left - 8.0, y + 4.0, "right");
        }
        let unit = match pane.unit.as_str() {
            "" => say!("number"),
            unit => unit.into(),
        };
        pen.set_fill_style_str(&self.theme.ink);
        self.text(&unit, layout.left - 8.0, top - 12.0, "right");
        pen.save();
        pen.begin_path();
        pen.rect(layout.left, top - 3.0, layout.plot_width(), PANE + 6.0);
        pen.clip();
        for &line in &pane.lines {
            self.curve(line, &y);
        }
        // One that is far from all values is out of sight: to show it would flatten them.
        set_dashes(pen, THRESHOLD);
        for threshold in &pane.thresholds {
            let y = y(*threshold);
            self.line(&self.theme.bad, layout.left, y, layout.width - RIGHT, y);
        }
        set_dashes(pen, &[]);
        pen.restore();
    }

    /// Least and most that is seen of a pane's lines, with a little air.
    fn bounds(&self, pane: &Pane) -> (f64, f64) {
        let places = &self.picture.places;
        let first = places.partition_point(|place| *place < self.view.from);
        let behind = places.partition_point(|place| *place <= self.view.to);
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for &line in &pane.lines {
            for values in [&self.picture.least, &self.picture.most] {
                let values = values
                    .get(line)
                    .and_then(|values| values.get(first..behind));
                for value in values.unwrap_or_default() {
                    (least, most) = (least.min(*value), most.max(*value));
                }
            }
        }
        let (least, most) = (f64::from(least), f64::from(most));
        if least > most {
            return (0.0, 1.0);
        }
        let air = match (most - least) * 0.06 {
            0.0 => least.abs().max(1.0) * 0.5,
            air => air,
        };
        (least - air, most + air)
    }

    /// What a line's values reach over, and its middle.
    fn curve(&self, line: usize, y: &impl Fn(f64) -> f64) {
        let (pen, picture) = (&self.pen, self.picture);
        let (Some(least), Some(most)) = (picture.least.get(line), picture.most.get(line)) else {
            return;
        };
        let colour = &self.theme.lines[line % LINES];
        pen.set_fill_style_str(colour);
        pen.set_stroke_style_str(colour);
        pen.set_line_width(1.6);
        // One point more on each side: where lines come from.
        let places = &picture.places;
        let first = places.partition_point(|place| *place < self.view.from);
        let behind = places.partition_point(|place| *place <= self.view.to) + 1;
        let mut index = first.saturating_sub(1);
        let last = behind.min(places.len());
        while index < last {
            if least[index].is_nan() {
                index += 1;
                continue;
            }
            let start = index;
            index += 1;
            while index < last && !least[index].is_nan() && picture.breaks[index] == 0 {
                index += 1;
            }
            self.run(start..index, least, most, y, line);
        }
    }

    fn run(
        &self,
        points: Range<usize>,
        least: &[f32],
        most: &[f32],
        y: &impl Fn(f64) -> f64,
        line: usize,
    ) {
        let (pen, places) = (&self.pen, &self.picture.places);
        let x = |index: usize| self.scale.x(places[index]);
        let band = points.clone().any(|index| least[index] < most[index]);
        if band {
            pen.set_global_alpha(0.3);
            for piece in pieces(points.clone(), TOGETHER) {
                pen.begin_path();
                for index in piece.clone() {
                    pen.line_to(x(index), y(most[index].into()));
                }
                for index in piece.rev() {
                    pen.line_to(x(index), y(least[index].into()));
                }
                pen.fill();
            }
            pen.set_global_alpha(1.0);
        }
        let middle = |index: usize| y((f64::from(least[index]) + f64::from(most[index])) / 2.0);
        let width = x(points.end - 1) - x(points.start);
        let mut climb = 0.0;
        for index in points.start + 1..points.end {
            climb += (middle(index) - middle(index - 1)).abs();
        }
        // Dashes of a line that goes up and down all the time tell nothing, and take long to draw; nor does its middle,
        // where the band shows all it reaches over.
        let steep = climb > STEEP * width;
        if !(steep && band) {
            let mut together = TOGETHER;
            if !steep {
                set_dashes(pen, DASHES[line % LINES]);
                // Dashes go on from point to point, and its edges hardly cross.
                together = points.len();
            }
            for piece in pieces(points.clone(), together) {
                pen.begin_path();
                for index in piece {
                    pen.line_to(x(index), middle(index));
                }
                pen.stroke();
            }
            set_dashes(pen, &[]);
        }
        let wide = (points.len() as f64 - 1.0) * DOTS_APART;
        let far = width >= wide;
        if far && self.picture.exact {
            for index in points {
                pen.fill_rect(x(index) - 2.0, middle(index) - 2.0, 4.0, 4.0);
            }
        }
    }
}

/// Dashes and spaces of the lines that follow, in pixels; none for whole lines.
fn set_dashes(pen: &CanvasRenderingContext2d, lengths: &[f64]) {
    let dashes: Array = lengths.iter().copied().map(JsValue::from).collect();
    // It fails for what is no list.
    let _ = pen.set_line_dash(&dashes);
}

/// The same points in pieces of so many steps; each begins with the point that the one before ends with.
fn pieces(points: Range<usize>, steps: usize) -> impl Iterator<Item = Range<usize>> {
    points
        .clone()
        .step_by(steps)
        .map(move |start| start..(start + steps + 1).min(points.end))
}
