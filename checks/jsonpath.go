package checks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// lookup returns the single value at a path such as data.items[0].id as a text. Null is
// "".
func lookup(body []byte, path string) (string, error) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return "", errors.New("no JSON")
	}
	for _, step := range steps(path) {
		switch at := value.(type) {
		case map[string]any:
			inner, ok := at[step]
			if !ok {
				return "", fmt.Errorf("JSON without %s: no %q", path, step)
			}
			value = inner
		case []any:
			index, err := strconv.Atoi(step)
			if err != nil || index < 0 || index >= len(at) {
				return "", fmt.Errorf("JSON without %s: a list of %d has no [%s]", path, len(at), step)
			}
			value = at[index]
		default:
			return "", fmt.Errorf("JSON without %s: its parent is a single value", path)
		}
	}
	switch found := value.(type) {
	case nil:
		return "", nil
	case string, json.Number, bool:
		return fmt.Sprint(found), nil
	case []any:
		return "", fmt.Errorf("a list in %s, want a single value", path)
	}
	return "", fmt.Errorf("a mapping in %s, want a single value", path)
}

// steps splits a path. It ignores a leading $ or dot.
func steps(path string) []string {
	plain := strings.NewReplacer("[", ".", "]", "").Replace(strings.TrimPrefix(path, "$"))
	return strings.Split(strings.TrimPrefix(plain, "."), ".")
}
