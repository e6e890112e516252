package gosuite

import (
	"slices"
	"testing"
)

func TestOutcomesAreReadFromOutput(t *testing.T) {
	o := parseOutcome("\x16=== RUN   TestA\n\x16=== RUN   TestA/h1\n\x16=== RUN   TestA/h1/deep\n\x16=== RUN   TestA/https1\n" +
		"--- FAIL: TestA/h1 (printed by the test)\n    a_test.go:7: first\n    a_test.go:9: server log: noise\n" +
		"\x16--- PASS: TestA/h1/deep (0.00s)\n\x16--- PASS: TestA/h1 (0.01s)\n\x16--- SKIP: TestA/https1 (0.00s)\n\x16=== RUN   TestA/h2\npart of a line\x16--- FAIL: TestA/h2 (0.00s)\n" +
		"\x16--- FAIL: TestA (0.02s)\n\ngosuite requests: 12\n")
	o.OK = true
	for name, want := range map[string]Status{"TestA": Fail, "TestA/h1": Pass, "TestA/https1": Skip, "TestA/h2": Fail, "TestB": None} {
		if got := o.Of(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if got, want := o.Modes("TestA"), []string{"h1", "https1", "h2"}; !slices.Equal(got, want) {
		t.Errorf("modes: got %q, want %q", got, want)
	}
	if o.Requests != 12 {
		t.Errorf("requests: got %d, want 12", o.Requests)
	}
	if got, want := o.Excerpt(), "a_test.go:7: first"; got != want {
		t.Errorf("excerpt: got %q, want %q", got, want)
	}
}

func TestAProcessThatFailsFailsItsTests(t *testing.T) {
	o := parseOutcome("\x16=== RUN   TestA\n    a_test.go:7: fine so far\n\x16--- PASS: TestA (0.00s)\nPASS\ngosuite: 1 goroutine is left\n")
	if got := o.Of("TestA"); got != Fail || o.Requests != -1 {
		t.Errorf("got %s and %d requests, want %s and -1: the process did not end well", got, o.Requests, Fail)
	}
	if got, want := o.Excerpt(), "gosuite: 1 goroutine is left"; got != want {
		t.Errorf("excerpt: got %q, want %q, which ended the process", got, want)
	}
}
