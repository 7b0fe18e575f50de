package proposal

import "time"

// Compared gives the two texts that the pieces of a comparison with a time limit make, and how many
// lines the two share.
func Compared(limit time.Duration, before, after string) (old, fresh string, shared int) {
	for _, one := range compareWithin(limit, before, after) {
		if one.kind != added {
			old += one.text
		}
		if one.kind != deleted {
			fresh += one.text
		}
		if one.kind == equal {
			shared += len(Lines(one.text))
		}
	}
	return old, fresh, shared
}
