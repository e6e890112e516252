package main

import (
	"bytes"
	"encoding/json"
	"testing"
)

func TestTheJSONHasTheNamedKeysAndNullForWhatWasNotMeasured(t *testing.T) {
	r := sampleReport()
	r.clients[0].TimeWait, r.clients[0].Closed = nil, nil
	var out bytes.Buffer
	if err := r.writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Clients []map[string]any `json:"clients"`
	}
	dec := json.NewDecoder(&out)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if dec.More() {
		t.Error("there is more than one JSON value")
	}
	if len(got.Clients) != 2 {
		t.Fatalf("got %d clients, want 2", len(got.Clients))
	}
	for _, key := range []string{"name", "requests", "opened", "closed", "time_wait", "cpu_us_per_request", "p50_ms", "p99_ms", "closes_avoided"} {
		for _, c := range got.Clients {
			if _, ok := c[key]; !ok {
				t.Errorf("%v has no %q", c["name"], key)
			}
		}
	}
	def, own := got.Clients[0], got.Clients[1]
	for key, want := range map[string]any{"name": "default", "requests": 14000.0, "errors": 3.0, "opened": 5283.0, "closed": nil, "time_wait": nil, "cpu_us_per_request": 131.44} {
		if def[key] != want {
			t.Errorf("default's %s: got %v, want %v", key, def[key], want)
		}
	}
	for key, want := range map[string]any{"name": "stayopen", "opened_bursts": 200.0, "closed": 0.0, "time_wait": 0.0, "server_time_wait_after_close": 324.0} {
		if own[key] != want {
			t.Errorf("stayopen's %s: got %v, want %v", key, own[key], want)
		}
	}
}

func TestTheJSONOfNoClientsIsAnEmptyList(t *testing.T) {
	var out bytes.Buffer
	if err := (report{}).writeJSON(&out); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, out.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got, want := compact.String(), `{"clients":[]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
