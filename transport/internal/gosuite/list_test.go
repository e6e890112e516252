package gosuite

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const sampleList = `# A list
| Package | Test | Go | Why |
|---|---|---|---|
| net/http | TestA | any | it is ours |
| net/http | TestB/h2 | 1.26 | sometimes: so it is |

<!-- begin generated for go1.20 -->
| p/a_test.go | TestOld | gone |
<!-- end generated -->
The end.
`

func writeList(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "LIST.md")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestAListIsWrittenAndReadBack(t *testing.T) {
	file := writeList(t, sampleList)
	left := []LeftOut{{"p/a_test.go", "TestNew", "uses x"}, {"p/b_test.go", "TestNewer", "uses y"}}
	if err := WriteLeftOut(file, "go1.26.8", left); err != nil {
		t.Fatal(err)
	}
	got, err := ReadList(file)
	if err != nil {
		t.Fatal(err)
	}
	want := &List{
		Differences: []Difference{
			{"net/http", "TestA", "any", "it is ours", false},
			{"net/http", "TestB/h2", "1.26", "sometimes: so it is", true},
		},
		Version: "go1.26.8",
		LeftOut: left,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	text, err := os.ReadFile(file)
	if err != nil || !strings.HasPrefix(string(text), "# A list\n") || !strings.HasSuffix(string(text), "\nThe end.\n") {
		t.Errorf("got %q, %v, want what is written by hand as it was", text, err)
	}
}

func TestAListMustGiveReasons(t *testing.T) {
	for _, row := range []string{"| net/http | TestA | any | |", "| a | TestA | b | c | d |"} {
		if l, err := ReadList(writeList(t, row+"\n")); err == nil {
			t.Errorf("%s: got %+v, want an error", row, l)
		}
	}
}

func TestADifferenceIsAboutATestAndAGoVersion(t *testing.T) {
	l, err := ReadList(writeList(t, sampleList))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		c       Case
		version string
		want    bool
	}{
		{Case{Package: "net/http", Test: "TestA"}, "go1.30", true},
		{Case{Package: "net/http", Test: "TestA", Mode: "h2"}, "go1.26.8", true},
		{Case{Package: "expvar", Test: "TestA"}, "go1.26.8", false},
		{Case{Package: "net/http", Test: "TestB", Mode: "h2"}, "go1.26.8", true},
		{Case{Package: "net/http", Test: "TestB", Mode: "h2"}, "go1.26", true},
		{Case{Package: "net/http", Test: "TestB", Mode: "h2"}, "go1.260", false},
		{Case{Package: "net/http", Test: "TestB", Mode: "h1"}, "go1.26.8", false},
	} {
		if got := l.Difference(&test.c, test.version) != nil; got != test.want {
			t.Errorf("%s %s with %s: got listed %v, want %v", test.c.Package, test.c.Name(), test.version, got, test.want)
		}
	}
}
