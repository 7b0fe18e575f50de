package fleetsim_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"coin.internal/coin-agent/agent/gitlab"
	"coin.internal/coin-agent/agent/gitlab/gitlabtest"
	"coin.internal/coin-agent/agent/tokens"
)

// tables are the figures of docs/fleet-costs.md.
type tables struct {
	agents  int
	busiest []busy
	columns []column
}

// busy is the busiest second of a time, in requests a second of an idle fleet.
type busy struct {
	what       string
	peak, most float64
}

// column is what one agent asks for one reason.
type column struct {
	about string
	by    map[kind]perAgent
}

type perAgent struct{ requests, bytes float64 }

// who are the agents that a column is about.
type who bool

const (
	everyone who = false
	others   who = true // those that the commit does not concern
)

// note adds a column with what was counted, times a factor. The looks that go on meanwhile are in
// the first one only.
func (m *tables) note(w *world, about string, times float64, of who) {
	w.counts.mu.Lock()
	defer w.counts.mu.Unlock()
	made, by, of1 := column{about, map[kind]perAgent{}}, w.counts.by, float64(w.size)
	if of == others {
		by, of1 = w.counts.others, float64(w.size-1)
	}
	for _, one := range kinds() {
		if what := by[one]; one != refs || len(m.columns) == 0 {
			made.by[one] = perAgent{float64(what.requests) * times / of1, float64(what.bytes) * times / of1}
		}
	}
	m.columns = append(m.columns, made)
}

// tokens adds what a day of looks at one token costs, with the real watch.
func (m *tables) tokens(t *testing.T) {
	t.Helper()
	file := gitlabtest.TokenFile(t, gitlabtest.Secret)
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, gitlab: gitlabtest.NewServer(gitlabtest.Config{})}
		w.gitlab.SetToken(gitlabtest.Secret, gitlabtest.Token{Name: "agent", User: gitlabtest.Agent(), Scopes: []string{"api"}})
		w.counts.reset()
		api, err := gitlab.New(gitlab.Options{URL: "http://localhost", Project: "coin/coin-gitops", TokenFile: file, Transport: &node{w: w}})
		if err != nil {
			t.Fatal(err)
		}
		watch, err := tokens.New(tokens.Options{
			Uses:  []tokens.Use{{Setting: "gitlab_token_file", File: file, GitLab: api, Scopes: []string{"api"}, Role: gitlab.Developer}},
			Store: known{}, Log: slog.New(slog.DiscardHandler), Random: random(1),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		_ = watch.Run(ctx)
		day := w.counts.by[tokenChecks]
		m.columns[0].by[tokenChecks] = perAgent{float64(day.requests), float64(day.bytes)}
	})
}

// known forgets what GitLab said of tokens: the agent is not restarted.
type known struct{}

func (known) Tokens() (map[string]tokens.Known, error) { return nil, nil }
func (known) SaveTokens(map[string]tokens.Known) error { return nil }

// String gives the tables as Markdown.
func (m *tables) String() string {
	var text strings.Builder
	text.WriteString("| requests and bytes of one agent |")
	for _, one := range m.columns {
		text.WriteString(" " + one.about + " |")
	}
	text.WriteString("\n|---|" + strings.Repeat("---|", len(m.columns)) + "\n")
	sums := make([]perAgent, len(m.columns))
	for _, of := range kinds() {
		text.WriteString("| " + string(of) + " |")
		for i, one := range m.columns {
			what := one.by[of]
			sums[i].requests += what.requests
			sums[i].bytes += what.bytes
			text.WriteString(" " + what.String() + " |")
		}
		text.WriteString("\n")
	}
	text.WriteString("| **all** |")
	for _, sum := range sums {
		text.WriteString(" " + sum.String() + " |")
	}
	text.WriteString("\n\n| the busiest second, in requests a second of an idle fleet | seen | at most |\n|---|---|---|\n")
	for _, one := range m.busiest {
		limit := ""
		if one.most > 0 {
			limit = fmt.Sprintf("%.0f", one.most)
		}
		fmt.Fprintf(&text, "| %s | %.1f | %s |\n", one.what, one.peak, limit)
	}
	return text.String()
}

func (p perAgent) String() string {
	if p.requests < 0.005 {
		return ""
	}
	requests := fmt.Sprintf("%.0f", p.requests)
	return requests + ", " + size(p.bytes)
}

const tableBegin, tableEnd = "<!-- made by `make fleet` -->\n", "<!-- end -->\n"

// compare looks whether a document has the table of one agent; with -update it writes both.
func (m *tables) compare(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), tableBegin)
	has, after, ends := strings.Cut(rest, tableEnd)
	if !found || !ends {
		t.Fatalf("%s has no place for the table", file)
	}
	if *update {
		about := fmt.Sprintf("%d agents, interval %s:\n\n", m.agents, interval)
		if err := os.WriteFile(file, []byte(before+tableBegin+"\n"+about+m.String()+"\n"+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(requestsIn(has), requestsIn(m.String()), cmpopts.EquateApprox(0.01, 0)); diff != "" {
		t.Errorf("%s has other numbers of requests; run `make fleet`:\n%s", file, diff)
	}
}

// requestsIn reads the numbers of requests in the table of one agent, by the row's name.
func requestsIn(text string) map[string][]float64 {
	table, _, _ := strings.Cut(text, "| the busiest second")
	rows := map[string][]float64{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.TrimSpace(line), " | ")
		for _, cell := range cells[1:] {
			number, _, _ := strings.Cut(strings.Trim(cell, " |"), ",")
			n, _ := strconv.ParseFloat(number, 64) // 0 for a name and for none
			rows[cells[0]] = append(rows[cells[0]], n)
		}
	}
	return rows
}
