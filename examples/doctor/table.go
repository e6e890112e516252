package main

import (
	"fmt"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// column is a column of the table: the states that it counts.
type column struct {
	label  string
	states []hostcheck.State
}

var columns = []column{
	{"ESTAB", []hostcheck.State{hostcheck.Established}},
	{"TIME_WAIT", []hostcheck.State{hostcheck.TimeWait}},
	{"CLOSE_WAIT", []hostcheck.State{hostcheck.CloseWait}},
	{"FIN_WAIT", []hostcheck.State{hostcheck.FinWait1, hostcheck.FinWait2}},
	{"SYN", []hostcheck.State{hostcheck.SynSent, hostcheck.SynRecv}},
	{"other", []hostcheck.State{hostcheck.Closed, hostcheck.LastAck, hostcheck.Closing}},
}

// width is how wide a column is, with the space before it.
func (c column) width() int { return max(len(c.label), 5) + 2 }

func (c column) count(d hostcheck.Destination) int {
	n := 0
	for _, s := range c.states {
		n += d.States[s]
	}
	return n
}

// portsWidth is the width of the last column.
const portsWidth = 8

// table is the sockets by destination and state, line by line.
func (r *report) table(top, width int, paint painter) []string {
	if r.noCensus != nil {
		return wrap(fmt.Sprintf("There is no table of sockets: %s.", clean(r.noCensus.Error())), width)
	}
	shown, leftOut := r.destinations(top)
	place := placeWidth(shown, width)
	head := fmt.Sprintf("%-*s", place, "TCP sockets")
	for _, c := range columns {
		head += fmt.Sprintf("%*s", c.width(), c.label)
	}
	lines := []string{paint(bold, head+fmt.Sprintf("%*s", portsWidth, "ports"))}
	for _, d := range shown {
		lines = append(lines, r.row(d, place, paint))
	}
	if leftOut > 0 {
		lines = append(lines, fmt.Sprintf("and %s (-top shows more)", plural(leftOut, "place", "places")))
	}
	return append(lines, r.total(place, paint), "", r.source())
}

// placeWidth is how wide the names of the places may be.
func placeWidth(shown []hostcheck.Destination, width int) int {
	widest := len("all; 1,000 listen")
	for _, d := range shown {
		widest = max(widest, len(name(d)))
	}
	rest := portsWidth
	for _, c := range columns {
		rest += c.width()
	}
	return max(min(widest, width-rest), 19)
}

// name is where the connections lead to, or where they came in.
func name(d hostcheck.Destination) string {
	if d.Accepted {
		return "in " + d.Addr.String()
	}
	return "to " + d.Addr.String()
}

// shorten leaves out the middle of a name that is too long; the port at its end
// stays.
func shorten(s string, width int) string {
	if len(s) <= width {
		return s
	}
	tail := min(len("]:65535"), width/2)
	return s[:width-tail-1] + "…" + s[len(s)-tail:]
}

func (r *report) row(d hostcheck.Destination, place int, paint painter) string {
	line := fmt.Sprintf("%-*s", place, shorten(name(d), place))
	for _, c := range columns {
		line += r.cell(c, c.count(d), paint)
	}
	return line + r.ports(d, paint)
}

// cell is a number, or a dash for none, so that the numbers stand out.
func (r *report) cell(c column, n int, paint painter) string {
	cell := fmt.Sprintf("%*s", c.width(), "-")
	if n > 0 {
		cell = fmt.Sprintf("%*s", c.width(), grouped(n))
	}
	if n > 0 && (c.label == "TIME_WAIT" || c.label == "CLOSE_WAIT") {
		return paint(yellow, cell)
	}
	return cell
}

// ports is the share of the local ports that the busiest source has in use
// towards the destination.
func (r *report) ports(d hostcheck.Destination, paint painter) string {
	size := r.settings.LocalPorts()
	if d.Accepted || size == 0 {
		return fmt.Sprintf("%*s", portsWidth, "")
	}
	most := 0
	for _, p := range d.Sources {
		most = max(most, p.InUse)
	}
	share := float64(most) / float64(size) * 100
	cell := fmt.Sprintf("%*s", portsWidth, fmt.Sprintf("%.1f %%", share))
	if share >= 80 {
		return paint(red, cell)
	}
	return cell
}

func (r *report) total(place int, paint painter) string {
	line := fmt.Sprintf("%-*s", place, fmt.Sprintf("all; %s listen", grouped(len(r.census.Listeners))))
	for _, c := range columns {
		line += fmt.Sprintf("%*s", c.width(), grouped(r.census.Total(c.states...)))
	}
	return paint(bold, line)
}

// source says where the numbers are from and what the last column means.
func (r *report) source() string {
	s := fmt.Sprintf("Counted by %s in %v. ", r.census.From, r.took.Round(100*time.Microsecond))
	if r.census.Fallback != nil {
		s = fmt.Sprintf("Read from %s in %v, since sock_diag failed (%s). ", r.census.From, r.took.Round(100*time.Microsecond), clean(r.census.Fallback.Error()))
	}
	if n := r.settings.LocalPorts(); n > 0 {
		s += fmt.Sprintf("ports: of the %s local ones, what the busiest source has in use to that destination.", grouped(n))
	}
	return s
}
