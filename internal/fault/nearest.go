package fault

// mostSteps bounds the work of Nearest: each word that is compared costs the square of its length.
const mostSteps = 1_000_000

// Nearest returns the known word that is similar to got, or "": also if the words are so long, or so
// many, that it takes too long to compare them. They may be those of a hostile file.
func Nearest(got string, known []string) string {
	if len(got) > mostSteps || len(got)*len(got)*len(known) > mostSteps {
		return ""
	}
	best, bestDistance := "", len(got)/3+2
	for _, word := range known {
		if max(len(got)-len(word), len(word)-len(got)) >= bestDistance {
			continue
		}
		if d := Distance(got, word); d < bestDistance {
			best, bestDistance = word, d
		}
	}
	return best
}

// Distance counts the letters to insert, remove or replace to change a to b.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
