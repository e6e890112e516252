package status_test

import (
	"strings"
	"testing"

	"github.com/stayopen-go/stayopen/transport/status"
)

// hostile are names that somebody could make a program ask for.
var hostile = map[string]string{ // and what is shown
	`down<script>alert(1)</script>`:               `down&lt;script&gt;alert(1)&lt;/script&gt;`,
	`down"onmouseover="alert(1)`:                  `down&#34;onmouseover=&#34;alert(1)`,
	`down'><img src=x onerror=alert(1)>`:          `down&#39;&gt;&lt;img src=x onerror=alert(1)&gt;`,
	"down\u202egpj.elpmaxe":                       `down\u202egpj.elpmaxe`,
	"down\u2066\u05d0\u05d1\u2069.example":        `down\u2066\u05d0\u05d1\u2069.example`,
	"down\u202e\u200b\u0301\U0001f4a9":            `down\u202e\u200b\u0301\U0001f4a9`,
	"down\xff\x00\n\x1b[31m":                      `down\xff\u0000\u000a\u001b[31m`,
	"down{{.CSS}}</style>":                        `down{{.CSS}}&lt;/style&gt;`,
	"down" + strings.Repeat("long.", 400) + "end": "down" + strings.Repeat("long.", 39) + "l…",
}

func TestHostileNamesAreShownAndDoNothing(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true})
	before := get(r.page, "/").Body.String()
	r2 := newRig(t, status.Config{WithoutHost: true})
	for name := range hostile {
		r2.send(t, name)
	}
	after := get(r2.page, "/?limit=1000").Body.String()
	for name, want := range hostile {
		if !strings.Contains(after, want+":80</bdi>") && !strings.Contains(after, want+"</bdi>") {
			t.Errorf("%.60q: the page does not show %.80s", name, want)
		}
	}
	for _, mark := range []string{"<script", "</script", "<style", "</style", "<img", "\u202e", "\u2066", "\x00"} {
		if got, want := strings.Count(after, mark), strings.Count(before, mark); got != want {
			t.Errorf("%q: got %d in the page, want %d as without such names", mark, got, want)
		}
	}

	// JSON has the names as they are, fit to be in a script.
	w := get(r2.page, "/?format=json&limit=1000")
	if strings.ContainsAny(w.Body.String(), "<>\u2028") {
		t.Error("JSON: got < or > as they are, want them escaped")
	}
	got := report(t, r2.page, "/?limit=1000").Transports[0]
	if got.OriginsTotal != len(hostile) {
		t.Errorf("JSON: got %d origins, want %d", got.OriginsTotal, len(hostile))
	}
}

func TestWhatTheAddressAsksForIsEscaped(t *testing.T) {
	r := newRig(t, status.Config{WithoutHost: true})
	body := get(r.page, `/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&sort=%3Cb%3E&limit=%3Cb%3E`).Body.String()
	if strings.Contains(body, "<script>alert") || strings.Contains(body, "<b>&") || !strings.Contains(body, `value="&#34;&gt;&lt;script&gt;alert(1)`) {
		t.Error("got what was searched for as markup, want it escaped")
	}
}
