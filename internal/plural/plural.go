// Package plural writes counts of things: a number and a noun in, words out.
package plural

import "fmt"

// Count gives "1 node" or "2 nodes" for a number of things.
func Count[N int | uint64](n N, what string) string { return Of(n, what, what+"s") }

// Of gives "1 entry" or "2 entries" for a number of things.
func Of[N int | uint64](n N, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
