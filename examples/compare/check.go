package main

import "fmt"

// disagreements holds the client's own figures, if it has any, against what
// the server counted, and returns a sentence for each that differs.
func (m *measurement) disagreements() []string {
	counted := m.afterMix.tally
	if m.client.stats == nil || !counted.bothSides() {
		return nil
	}
	var ds []string
	for _, c := range []struct {
		what    string
		says    uint64
		counted int64
	}{
		{"connections opened", m.stats.Opened, counted.Accepted},
		{"exchanges", m.stats.Exchanges, counted.Answers},
		{"connections that served one", m.stats.Served, counted.Served},
		{"closes avoided", m.stats.ClosesAvoided, counted.Answers - counted.Served},
	} {
		if int64(c.says) != c.counted {
			ds = append(ds, fmt.Sprintf("%s says %d %s, the server counted %d", m.client.name, c.says, c.what, c.counted))
		}
	}
	return ds
}
