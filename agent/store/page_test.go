package store_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"coin.internal/coin-agent/agent/audit"
	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/internal/memoryfolder"
)

// planOf makes the plan of a number of services.
func planOf(services int) json.RawMessage {
	var steps []string
	for i := range services {
		steps = append(steps, fmt.Sprintf(`{"action":"update","kind":"service","name":"s_svc%d","changes":[{"path":"TaskTemplate.ContainerSpec.Image","old":"%s","new":"%s"}]}`,
			i, strings.Repeat("a", 80), strings.Repeat("b", 80)))
	}
	return json.RawMessage(`{"stack":"s","steps":[` + strings.Join(steps, ",") + `]}`)
}

// ids reads all pages of a query, and lists the syncs that they have.
func ids(t *testing.T, page func(record.Query) (record.Page, error), query record.Query) (all string, pages int) {
	t.Helper()
	for {
		part, err := page(query)
		if err != nil {
			t.Fatal(err)
		}
		if len(part.Syncs) > query.Limit {
			t.Fatalf("a page has %d syncs, more than %d", len(part.Syncs), query.Limit)
		}
		for _, sync := range part.Syncs {
			all += fmt.Sprintf("%d ", sync.ID)
		}
		pages++
		if query.Before = part.Next; query.Before == 0 {
			return strings.TrimSpace(all), pages
		}
	}
}

// Pages have what a query selects, of all stacks in one order, each sync once.
func TestPages(t *testing.T) {
	s := open(t, memoryfolder.New(t))
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 12 {
		sync := &record.Sync{
			Commit: fmt.Sprint(i), State: record.Succeeded, Started: began.Add(time.Duration(i) * time.Hour), Author: "Anna <anna@example.com>", Stack: "s",
			Plan: planOf(1 + i%2), Inputs: map[string]string{"a": "b"},
		}
		if i%3 == 0 {
			sync.State, sync.Actor = record.Failed, audit.Token("CI")
		}
		if i == 5 {
			sync.State, sync.Author = record.RolledBack, "Boris <b@example.com>"
		}
		if err := s.Stack(record.StackKey(fmt.Sprintf("stack%d", i%2))).SaveOutcome(sync, nil); err != nil {
			t.Fatal(err)
		}
	}
	for name, test := range map[string]struct {
		query record.Query
		want  string
	}{
		"all":       {record.Query{}, "12 11 10 9 8 7 6 5 4 3 2 1"},
		"one stack": {record.Query{Stack: "stack1"}, "12 10 8 6 4 2"},
		"no stack":  {record.Query{Stack: "stack2"}, ""},
		"failed":    {record.Query{Failed: true}, "10 7 6 4 1"},
		"state":     {record.Query{State: record.RolledBack}, "6"},
		"author":    {record.Query{Author: "boris"}, "6"},
		"actor":     {record.Query{Author: "token:ci"}, "10 7 4 1"},
		"since":     {record.Query{Since: began.Add(9 * time.Hour)}, "12 11 10"},
		"service":   {record.Query{Service: "svc1"}, "12 10 8 6 4 2"},
		"full name": {record.Query{Service: "s_svc1", Failed: true}, "10 6 4"},
		"no such":   {record.Query{Service: "svc"}, ""},
		"before":    {record.Query{Before: 3}, "2 1"},
		"beyond":    {record.Query{Before: 99}, "12 11 10 9 8 7 6 5 4 3 2 1"},
	} {
		for _, limit := range []int{1, 2, 5, 12, 100} {
			test.query.Limit = limit
			if got, _ := ids(t, s.Page, test.query); got != test.want {
				t.Errorf("%s, %d a page: %s, want %s", name, limit, got, test.want)
			}
		}
	}
	page, err := s.Page(record.Query{Limit: 1})
	if err == nil && page.Syncs[0].Key != "stack1" {
		t.Errorf("a sync of the stack1 is of %q", page.Syncs[0].Key)
	}
	if err != nil || page.Syncs[0].Plan != nil || page.Syncs[0].Inputs != nil {
		t.Errorf("a page has what grows with the services: %+v, %v", page, err)
	}
}

// Pages of a full history of a large stack are bounded, and so is the work for each.
func TestPagesOfALargeHistory(t *testing.T) {
	s := open(t, memoryfolder.New(t))
	plan := planOf(1000)
	stack := s.Stack(record.OnlyStack)
	for i := range 150 { // of 1,000, so that the test is short
		if err := stack.SaveOutcome(&record.Sync{Commit: fmt.Sprint(i), State: record.Succeeded, Plan: plan, Author: "Anna", Summary: "1000 services updated"}, nil); err != nil {
			t.Fatal(err)
		}
	}
	page, err := s.Page(record.Query{Limit: 200})
	if err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(page)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a plan has %d kB, a page of %d syncs %d kB", len(plan)>>10, len(page.Syncs), len(data)>>10)
	if len(data) > 200<<10 || len(page.Syncs) == 0 || page.Next == 0 {
		t.Errorf("a page of %d syncs has %d bytes", len(page.Syncs), len(data))
	}
	all, pages := ids(t, s.Page, record.Query{Limit: 200, Author: "nobody"})
	if all != "" || pages < 2 {
		t.Errorf("a search reads all in %d pages: %s", pages, all)
	}
}
