package drift

import (
	"fmt"
	"slices"
	"time"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/deploy"
)

// syncs gives the last syncs of the stack.
type syncs interface {
	SyncsUntil(enough func(*record.Sync) bool) ([]record.Sync, error)
}

// Corrections finds the contests in the syncs of one stack. It reads them once after each of
// them. Only one goroutine may use it.
type Corrections struct {
	Records syncs

	last  *record.Sync // when the syncs were read
	syncs []record.Sync
}

// Contests gives the contests of the drifted fields, and whether any contest goes on. last is
// the last sync.
func (c *Corrections) Contests(last *record.Sync, drifted []deploy.Step) (contests []Contest, goesOn bool, err error) {
	if c.last != last {
		syncs, err := c.Records.SyncsUntil(Enough(time.Now()))
		if err != nil {
			return nil, false, fmt.Errorf("recall corrections: %w", err)
		}
		c.last, c.syncs = last, syncs
	}
	all := Contests(c.syncs, time.Now())
	return Of(all, drifted), len(all) > 0, nil
}

// Begun gives the contests that are not among those before.
func Begun(contests, before []Contest) []Contest {
	return slices.DeleteFunc(slices.Clone(contests), func(one Contest) bool {
		return slices.ContainsFunc(before, func(c Contest) bool { return c.Service == one.Service && c.Field == one.Field })
	})
}

// PutBack gives the fields that a correction of a drift puts back, and the contested services
// that it leaves as they are.
func PutBack(drift []deploy.Step, contests []Contest) (fields []record.Correction, leaves []string) {
	leaves = Contested(contests)
	for _, step := range drift {
		if !slices.Contains(leaves, step.Name) {
			fields = append(fields, Fields(step)...)
		}
	}
	return fields, leaves
}
