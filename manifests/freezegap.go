package manifests

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// A repeated freeze is longest when its beginnings follow each other so closely that it never
// ends, or when the next one begins before it ends. Rollouts must be possible once a year.

// mostSteps limits the search for gaps. Freezes of less than 10 minutes that follow each
// other without a gap reach it before a year is over.
const mostSteps = 50_000

// validateGaps finds a node whose repeated freezes leave no gap for a year.
func (v *validator) validateGaps() {
	seen, left := map[string]bool{}, mostSteps
	for _, node := range append(nodeNames(v.config), "") { // "" has the freezes of all nodes
		var repeated []Freeze
		var which []string
		at := 0
		for i, freeze := range v.config.Freeze {
			if freeze.Duration > 0 && freeze.Duration <= longestFreeze && (len(freeze.Nodes) == 0 || slices.Contains(freeze.Nodes, node)) {
				repeated, which, at = append(repeated, freeze), append(which, freeze.Name), i
			}
		}
		list := strings.Join(which, ", ")
		if seen[list] || len(repeated) == 0 {
			continue
		}
		seen[list] = true
		if gapless(repeated, &left) {
			v.add(fmt.Sprintf("freeze[%d].duration", at), "leave a gap of at least a minute in each year; auto_deploy: false stops rollouts for good",
				"freeze %s never ends: each time begins before the one before it is over", list)
			if left <= 0 {
				return // the others are not known
			}
		}
	}
}

// gapless reports whether repeated freezes hold without a gap for more than a year.
func gapless(freezes []Freeze, left *int) bool {
	begin := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	held := begin
	for *left > 0 && held.Sub(begin) <= longestWindow {
		next := held
		for i := range freezes {
			if until := freezes[i].holdsOn(held, left); until.After(next) {
				next = until
			}
		}
		if !next.After(held) {
			return false
		}
		held = next
	}
	return true
}

// holdsOn gives the end of a repeated freeze that holds at a time, or the zero time: that of its
// last beginning before, whose freeze lasts longest.
func (f *Freeze) holdsOn(at time.Time, left *int) time.Time {
	zone, err := time.LoadLocation(f.TimeZone)
	schedule, wrong := parseSchedule(f.Schedule)
	if err != nil || wrong != nil {
		return time.Time{} // reported elsewhere
	}
	*left--
	shown := onWall(at, zone)
	begin := schedule.Next(shown.Add(-f.Duration))
	if begin.IsZero() || begin.After(shown) {
		return time.Time{}
	}
	_, last := offWall(lastBeginning(schedule, begin, shown).Add(f.Duration), zone)
	return last
}
