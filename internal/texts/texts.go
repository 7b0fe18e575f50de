// Package texts takes texts that stay in memory, and puts them side by side. A text that stays where
// it was made would keep a page of memory that the work around it has left. It changes no text.
package texts

import "strings"

// Together moves texts to memory of their own, equal ones once.
func Together(all []*string) {
	kept, size := make(map[string]string, len(all)), 0
	for _, text := range all {
		if _, known := kept[*text]; !known {
			kept[*text] = ""
			size += len(*text)
		}
	}
	var beside strings.Builder
	beside.Grow(size)
	for _, text := range all {
		if kept[*text] == "" {
			from := beside.Len()
			beside.WriteString(*text)
			kept[*text] = beside.String()[from:]
		}
		*text = kept[*text]
	}
}
