package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/prometheus/common/model"
)

// check compares a query with what a scrape holds: every name, every label that
// it chooses or groups by.
func check(t *testing.T, from, query string, known map[string]map[string]bool) {
	t.Helper()
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %q: %v", from, query, err)
		return
	}
	names := 0
	for _, s := range selectors(expr) {
		names++
		has := known[s.Name]
		if has == nil {
			t.Errorf("%s asks for %s, which no scrape has", from, s.Name)
			continue
		}
		for _, m := range s.LabelMatchers {
			if m.Name != model.MetricNameLabel && !has[m.Name] {
				t.Errorf("%s asks for %s by %s, which that does not have", from, s.Name, m.Name)
			}
		}
	}
	if names == 0 {
		t.Errorf("%s: %q asks for nothing", from, query)
	}
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok && !a.Without {
			for _, s := range selectors(a.Expr) {
				for _, by := range a.Grouping {
					if !known[s.Name][by] {
						t.Errorf("%s groups %s by %s, which that does not have", from, s.Name, by)
					}
				}
			}
		}
		return nil
	})
}

// onLinux skips elsewhere, where local ports are not counted.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("port budgets are Linux's")
	}
}

func selectors(expr parser.Node) (all []*parser.VectorSelector) {
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			all = append(all, s)
		}
		return nil
	})
	return all
}

func TestTheDashboardAsksForWhatAScrapeHas(t *testing.T) {
	onLinux(t)
	text, err := os.ReadFile("grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title  string
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	known := series(loaded(t).scrape(t))
	variables := map[string]bool{"__rate_interval": true}
	for _, v := range dashboard.Templating.List {
		variables[v.Name] = true
	}
	inQuery := regexp.MustCompile(`\$(\w+)`)
	taken := map[[2]int]string{}
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("the panels %q and %q overlap", other, p.Title)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			for _, v := range inQuery.FindAllStringSubmatch(target.Expr, -1) {
				if !variables[v[1]] {
					t.Errorf("the panel %q uses $%s, which the dashboard does not have", p.Title, v[1])
				}
			}
			query := strings.NewReplacer("$__rate_interval", "1m", "$transport", ".*").Replace(target.Expr)
			check(t, "the panel "+p.Title, query, known)
		}
	}
	if len(dashboard.Panels) < 10 {
		t.Errorf("got %d panels of %q", len(dashboard.Panels), dashboard.Title)
	}
}

func TestTheAlertsAskForWhatAScrapeHas(t *testing.T) {
	onLinux(t)
	text, err := os.ReadFile("alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Error(err)
	}
	if groups == nil {
		t.FailNow()
	}
	known := series(loaded(t).scrape(t))
	rules := 0
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			rules++
			check(t, "the alert "+r.Alert, r.Expr, known)
			if r.Annotations["summary"] == "" || r.Labels["severity"] == "" {
				t.Errorf("the alert %s has no summary or no severity", r.Alert)
			}
		}
	}
	if rules < 3 {
		t.Errorf("got %d rules", rules)
	}
}
