// Package plural writes counts of things: a number and a noun in, words out.
package plural

import "fmt"

// Count gives "1 node" or "2 nodes" for a number of things.
func Count[N int | uint64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
