package proposal

import (
	"fmt"
	"strings"
)

// around is how many lines a diff shows before and after a change.
const around = 3

// Diff gives what changes in the file as `diff -u` shows it; "" without a difference.
func (f File) Diff() string {
	before, after := string(f.Before), string(f.After)
	type line struct{ sign, text string }
	var all []line
	for _, piece := range compare(before, after) {
		sign := string("- +"[piece.kind+1])
		for text := range strings.Lines(piece.text) {
			all = append(all, line{sign, strings.TrimSuffix(text, "\n")})
		}
	}
	near := make([]bool, len(all))
	for i := range all {
		if all[i].sign != " " {
			for j := max(0, i-around); j <= min(len(all)-1, i+around); j++ {
				near[j] = true
			}
		}
	}
	var out strings.Builder
	old, fresh := 1, 1
	for i := 0; i < len(all); {
		if !near[i] {
			old, fresh, i = old+1, fresh+1, i+1
			continue
		}
		var body strings.Builder
		counts := map[string]int{}
		for ; i < len(all) && near[i]; i++ {
			counts[all[i].sign]++
			body.WriteString(all[i].sign + all[i].text + "\n")
		}
		removed, added := counts[" "]+counts["-"], counts[" "]+counts["+"]
		fmt.Fprintf(&out, "@@ -%s +%s @@\n%s", extent(old, removed), extent(fresh, added), body.String())
		old, fresh = old+removed, fresh+added
	}
	if out.Len() == 0 {
		return ""
	}
	from := "a/" + f.Path
	if before == "" {
		from = "/dev/null"
	}
	return "--- " + from + "\n+++ b/" + f.Path + "\n" + out.String()
}

// extent gives the lines of a hunk. An empty one is behind the line before it.
func extent(start, count int) string {
	if count == 0 {
		start--
	}
	return fmt.Sprintf("%d,%d", start, count)
}
