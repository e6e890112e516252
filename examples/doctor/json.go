package main

import (
	"encoding/json"
	"io"
	"net/netip"
	"time"

	"github.com/stayopen-go/stayopen/dialer/hostcheck"
)

// The types here are the schema that the package's comment documents.

type reportJSON struct {
	Time        time.Time           `json:"time"`
	OS          string              `json:"os"`
	Kernel      string              `json:"kernel"`
	Worst       hostcheck.Severity  `json:"worst"`
	Findings    []hostcheck.Finding `json:"findings"`
	Settings    []settingJSON       `json:"settings"`
	Files       *limitJSON          `json:"files,omitempty"`
	Census      *censusJSON         `json:"census,omitempty"`
	CensusError string              `json:"census_error,omitempty"`
}

type settingJSON struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Absent bool   `json:"absent,omitempty"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
}

type limitJSON struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}

type censusJSON struct {
	From         string                  `json:"from"`
	Fallback     string                  `json:"fallback,omitempty"`
	TookMillis   float64                 `json:"took_ms"`
	Total        int                     `json:"total"`
	States       map[hostcheck.State]int `json:"states"`
	Destinations []destinationJSON       `json:"destinations"`
	LeftOut      int                     `json:"left_out"`
	Summary      summaryJSON             `json:"summary"`
}

type destinationJSON struct {
	Address  netip.AddrPort           `json:"address"`
	Accepted bool                     `json:"accepted"`
	Total    int                      `json:"total"`
	States   map[hostcheck.State]int  `json:"states"`
	Sources  map[netip.Addr]portsJSON `json:"sources,omitempty"`
}

type portsJSON struct {
	InUse     int `json:"in_use"`
	TimeWaits int `json:"time_waits"`
}

type summaryJSON struct {
	InUse             int `json:"in_use"`
	Orphans           int `json:"orphans"`
	TimeWaits         int `json:"time_waits"`
	TimeWaitOverflows int `json:"time_wait_overflows"`
	ListenOverflows   int `json:"listen_overflows"`
}

// writeJSON writes one object on a line of its own, or, to be read by people,
// on many.
func (r *report) writeJSON(w io.Writer, top int, oneLine bool) error {
	j := reportJSON{
		Time: r.at, OS: r.settings.OS, Kernel: r.settings.Kernel,
		Worst: r.worst(), Findings: r.findings, Settings: []settingJSON{},
	}
	for key, v := range r.settings.All() {
		j.Settings = append(j.Settings, settingJSON{key, v.Text, v.Absent, v.File, v.Line})
	}
	if l := r.settings.Files; l != (hostcheck.Limit{}) {
		j.Files = &limitJSON{l.Soft, l.Hard}
	}
	if r.noCensus != nil {
		j.CensusError = r.noCensus.Error()
	} else {
		j.Census = r.censusJSON(top)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if !oneLine {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(j)
}

func (r *report) censusJSON(top int) *censusJSON {
	c := r.census
	j := &censusJSON{
		From: c.From, TookMillis: float64(r.took.Microseconds()) / 1000, Total: c.Total(),
		States: map[hostcheck.State]int{}, Destinations: []destinationJSON{},
		Summary: summaryJSON(c.Stat),
	}
	if c.Fallback != nil {
		j.Fallback = c.Fallback.Error()
	}
	for g, n := range c.Counts {
		j.States[g.State] += n
	}
	var shown []hostcheck.Destination
	shown, j.LeftOut = r.destinations(top)
	for _, d := range shown {
		j.Destinations = append(j.Destinations, destinationJSON{d.Addr, d.Accepted, d.Total, d.States, sources(d)})
	}
	return j
}

func sources(d hostcheck.Destination) map[netip.Addr]portsJSON {
	all := map[netip.Addr]portsJSON{}
	for src, p := range d.Sources {
		all[src] = portsJSON(p)
	}
	return all
}
