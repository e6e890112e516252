//go:build unix

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"testing"
)

func TestInterruptedItExitsAsTheLastReportWas(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-watch", "100ms", "-json", "-top", "3")
	cmd.Env = append(os.Environ(), asDoctor+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	var last struct{ Worst, Time string }
	for i := range 2 {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			t.Fatalf("report %d: %v", i, err)
		}
		before := last.Time
		if err := json.Unmarshal(line, &last); err != nil || last.Time == before {
			t.Errorf("got %q, %v, want a report on a line, later than %s", line, err, before)
		}
	}
	cmd.Process.Signal(os.Interrupt)
	for err == nil {
		var line []byte
		if line, err = lines.ReadBytes('\n'); err == nil {
			json.Unmarshal(line, &last)
		}
	}
	want := 0
	if last.Worst == "error" {
		want = exitError
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != want {
		t.Errorf("got %v, want exit status %d", cmd.ProcessState, want)
	}
}
