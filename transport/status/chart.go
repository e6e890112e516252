package status

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// chartWidth and chartHeight are a chart's own units; the page stretches it.
const (
	chartWidth  = 300.0
	chartHeight = 60.0
)

// chart is one small picture of the past.
type chart struct {
	Title  string
	Label  string // for who does not see it
	Top    string // what its upper edge stands for
	Span   string // how far back it goes; empty if it has no past yet
	Series []series
}

// series is one line of a chart, and its row in the legend.
type series struct {
	Class string // of the style sheet
	Name  string
	Now   string
	Line  string // an SVG path
	Area  string // the same, closed along the bottom; empty for a mere line
}

// dot is a figure at a moment.
type dot struct {
	at time.Time
	y  float64
}

// track is what a series is drawn from.
type track struct {
	class, name string
	dots        []dot
	fill        bool
}

// newChart draws the tracks, with one scale for all. Write puts a figure into
// words.
func newChart(title string, write func(float64) string, tracks ...track) chart {
	c := chart{Title: title}
	top, first, last := 0.0, time.Time{}, time.Time{}
	for _, t := range tracks {
		for _, d := range t.dots {
			top = max(top, d.y)
			if first.IsZero() || d.at.Before(first) {
				first = d.at
			}
			if d.at.After(last) {
				last = d.at
			}
		}
	}
	c.Top = write(top)
	wide := last.Sub(first)
	if wide > 0 {
		c.Span = span(wide.Round(time.Second))
	}
	var said []string
	for _, t := range tracks {
		s := series{Class: t.class, Name: t.name, Now: "–"}
		if n := len(t.dots); n > 0 {
			s.Now = write(t.dots[n-1].y)
		}
		if len(t.dots) > 1 && wide > 0 {
			s.Line = path(t.dots, first, wide, top)
			if t.fill {
				s.Area = s.Line + fmt.Sprintf("V%g H%s Z", chartHeight, short(t.dots[0].at.Sub(first).Seconds()/wide.Seconds()*chartWidth))
			}
		}
		c.Series = append(c.Series, s)
		said = append(said, t.name+" "+s.Now)
	}
	c.Label = fmt.Sprintf("%s in the last %s: now %s, at most %s", title, c.Span, strings.Join(said, ", "), c.Top)
	return c
}

// path goes through the dots. Zero is at the bottom, with room for the line.
func path(dots []dot, first time.Time, wide time.Duration, top float64) string {
	var b strings.Builder
	for i, d := range dots {
		b.WriteByte("ML"[min(i, 1)])
		b.WriteString(short(d.at.Sub(first).Seconds() / wide.Seconds() * chartWidth))
		b.WriteByte(' ')
		y := 0.0
		if top > 0 {
			y = d.y / top
		}
		b.WriteString(short(chartHeight - 1 - y*(chartHeight-3)))
	}
	return b.String()
}

// short writes a coordinate.
func short(x float64) string {
	text := strconv.FormatFloat(x, 'f', 1, 64)
	return strings.TrimSuffix(text, ".0")
}

// levels are what a figure was.
func levels[P any](all []P, at func(P) time.Time, figure func(P) float64) []dot {
	dots := make([]dot, len(all))
	for i, p := range all {
		dots[i] = dot{at(p), figure(p)}
	}
	return dots
}

// rates are by how much a total grew each second. The last point, which is of
// now, may follow the one before at once: what lies between two points that are
// less than least apart says nothing.
func rates(all []Point, least time.Duration, total func(Point) uint64) []dot {
	if n := len(all); n > 2 && all[n-1].At.Sub(all[n-2].At) < least {
		all = append(all[:n-2:n-2], all[n-1])
	}
	var dots []dot
	for i := 1; i < len(all); i++ {
		a, b := all[i-1], all[i]
		if d := b.At.Sub(a.At).Seconds(); d > 0 {
			dots = append(dots, dot{b.At, float64(total(b)-min(total(a), total(b))) / d})
		}
	}
	return dots
}

// together adds up the pasts of several transports, whose points are of the same
// moments.
func together(all []Transport) []Point {
	if len(all) == 0 {
		return nil
	}
	sum := append([]Point(nil), all[0].History...)
	for _, t := range all[1:] {
		for i := range min(len(sum), len(t.History)) {
			// From the end, in case that a sample came in between.
			p, q := &sum[len(sum)-1-i], t.History[len(t.History)-1-i]
			p.Exchanges += q.Exchanges
			p.Opened += q.Opened
			p.Closed += q.Closed
			p.TimeWaits += q.TimeWaits
			p.Open += q.Open
			p.Idle += q.Idle
			p.Waiting += q.Waiting
		}
	}
	return sum
}

// charts are those of one past.
func charts(past []Point, every time.Duration) []chart {
	if every < 0 {
		every = 0
	}
	rated := func(total func(Point) uint64) []dot { return rates(past, every/2, total) }
	at := func(p Point) time.Time { return p.At }
	count := func(n float64) string { return whole(int(n)) }
	return []chart{
		newChart("Exchanges", rate,
			track{"exchanges", "exchanges", rated(func(p Point) uint64 { return p.Exchanges }), true}),
		newChart("Connections", count,
			track{"idle", "open", levels(past, at, func(p Point) float64 { return float64(p.Open) }), true},
			track{"busy", "busy", levels(past, at, func(p Point) float64 { return float64(p.Open - p.Idle) }), true}),
		newChart("Opened and closed", rate,
			track{"opened", "opened", rated(func(p Point) uint64 { return p.Opened }), false},
			track{"closed", "closed", rated(func(p Point) uint64 { return p.Closed }), false}),
		newChart("TIME_WAITs left here", rate,
			track{"timewait", "left", rated(func(p Point) uint64 { return p.TimeWaits }), true}),
	}
}

// hostChart is the kernel's own count.
func hostChart(past []HostPoint) chart {
	return newChart("TIME_WAITs on this host", func(n float64) string { return whole(int(n)) },
		track{"timewait", "now", levels(past, func(p HostPoint) time.Time { return p.At }, func(p HostPoint) float64 { return float64(p.TimeWaits) }), true})
}
