package record

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Query selects syncs of the history. The zero Query selects all.
type Query struct {
	Stack   StackKey  // "" for all stacks of the node
	State   State     // "" for any
	Failed  bool      // only those that failed, or were rolled back
	Service string    // only those whose plan changes it: its name with or without the stack's
	Author  string    // part of the name of the author or the actor, in any case
	Since   time.Time // only those that began then or later
	Before  uint64    // only those with a smaller ID; 0 for all
	Limit   int       // how many; 0 for none
}

// Page is a part of the history, the newest first.
type Page struct {
	Syncs []Sync `json:"syncs"`
	Next  uint64 `json:"next,omitempty"` // the Before of the next page; 0 after the last one
}

// Wants reports whether a query selects a sync, whatever its ID and stack.
func (q *Query) Wants(sync *Sync) bool {
	switch {
	case q.State != "" && sync.State != q.State:
	case q.Failed && sync.State != Failed && sync.State != RolledBack:
	case !q.Since.IsZero() && sync.Started.Before(q.Since):
	case q.Author != "" && !contains(sync.Author, q.Author) && !contains(sync.Actor.String(), q.Author):
	case q.Service != "" && !changes(sync, q.Service):
	default:
		return true
	}
	return false
}

func contains(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// changes reports whether the plan of a sync, or of its rollback, changes a service.
func changes(s *Sync, service string) bool {
	plans := []json.RawMessage{s.Plan}
	if s.Rollback != nil {
		plans = append(plans, s.Rollback.Plan)
	}
	return slices.ContainsFunc(plans, func(data json.RawMessage) bool {
		var plan struct {
			Steps []struct{ Kind, Name string }
		}
		if len(data) == 0 || json.Unmarshal(data, &plan) != nil {
			return false
		}
		for _, step := range plan.Steps {
			if step.Kind == "service" && (step.Name == service || step.Name == s.Stack+"_"+service) {
				return true
			}
		}
		return false
	})
}

// Row gives the sync for a page of the history.
func Row(s *Sync) Sync {
	row := *s.Brief()
	row.Faults, row.Corrects, row.Takes = nil, nil, nil
	return row
}
