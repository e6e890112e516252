package main

import (
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport"
)

func TestFiguresThatDisagreeWithTheServerAreNamed(t *testing.T) {
	agreeing := transport.Stats{Opened: 10, Exchanges: 100, Served: 9, ClosesAvoided: 91}
	counted := tally{Accepted: 10, Answers: 100, Served: 9}
	for _, tc := range []struct {
		name   string
		change func(*transport.Stats)
		says   string
	}{
		{"agreeing", func(*transport.Stats) {}, ""},
		{"opened", func(s *transport.Stats) { s.Opened++ }, "says 11 connections opened, the server counted 10"},
		{"exchanges", func(s *transport.Stats) { s.Exchanges-- }, "says 99 exchanges, the server counted 100"},
		{"served", func(s *transport.Stats) { s.Served++ }, "says 10 connections that served one, the server counted 9"},
		{"avoided", func(s *transport.Stats) { s.ClosesAvoided = 100 }, "says 100 closes avoided, the server counted 91"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := &measurement{client: client{name: "c", stats: func() transport.Stats { return transport.Stats{} }}, stats: agreeing}
			m.afterMix.tally = counted
			tc.change(&m.stats)
			got := strings.Join(m.disagreements(), "; ")
			if tc.says == "" && got != "" || !strings.Contains(got, tc.says) {
				t.Errorf("got %q, want %q", got, tc.says)
			}
		})
	}
}

func TestNobodyIsHeldAgainstCountsThatAreTheirOwn(t *testing.T) {
	m := &measurement{stats: transport.Stats{Opened: 10}}
	if got := m.disagreements(); len(got) != 0 {
		t.Errorf("a client without figures: got %q, want nothing", got)
	}
	m.client.stats = func() transport.Stats { return transport.Stats{} }
	m.afterMix.tally.ClosedByPeer = -1
	if got := m.disagreements(); len(got) != 0 {
		t.Errorf("without a server that counts: got %q, want nothing", got)
	}
}
