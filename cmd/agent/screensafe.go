package main

import (
	"fmt"
	"reflect"

	"coin.internal/coin-agent/internal/visible"
)

// markup is a text that is safe to print: the control characters in it are the agent's own
// line breaks, tabs of tables and colours.
type markup string

// shown gives a value as a screen prints it: markup as it is, in any other text what
// controls a terminal is visible.
func shown(value any) markup {
	if safe, ok := value.(markup); ok {
		return safe
	}
	switch value.(type) {
	case error, fmt.Stringer:
	default:
		if pointer := reflect.ValueOf(value); pointer.Kind() == reflect.Pointer && !pointer.IsNil() {
			value = pointer.Elem().Interface()
		}
	}
	return markup(visible.Line(fmt.Sprint(value)))
}

// joinShown gives values as a screen prints them, one after the other.
func joinShown(values ...any) markup {
	var text markup
	for _, value := range values {
		text += shown(value)
	}
	return text
}
