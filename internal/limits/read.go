package limits

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/docker/go-units"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/durations"
	"coin.internal/coin-agent/internal/fault"
)

// Bytes is a size.
type Bytes int64

// String gives the size as agent.yml has it, such as 4MiB.
func (b Bytes) String() string { return units.BytesSize(float64(b)) }

// limit is one limit of a Limits, by its tags.
type limit struct {
	name, standard string
	value          reflect.Value
}

func (l *Limits) all() []limit {
	var all []limit
	for about, value := range reflect.ValueOf(l).Elem().Fields() {
		all = append(all, limit{about.Tag.Get("name"), about.Tag.Get("default"), value})
	}
	return all
}

// set reads a text into the limit. No limit can be switched off.
func (l limit) set(text string) error {
	switch target := l.value.Addr().Interface().(type) {
	case *Bytes:
		size, err := units.RAMInBytes(text)
		if err != nil || size < 1 {
			return fault.New(fault.Place{}, "write a size such as "+l.standard, "%q is not a size above 0", text)
		}
		*target = Bytes(size)
	case *int:
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 {
			return fault.New(fault.Place{}, "write a whole number such as "+l.standard, "%q is not a whole number above 0", text)
		}
		*target = number
	case *time.Duration:
		duration, err := durations.Parse(text)
		if err != nil || duration < time.Second {
			return fault.New(fault.Place{}, "write a duration such as "+l.standard, "%q is not a duration of at least 1s", text)
		}
		*target = duration
	}
	return nil
}

// Read reads the value of the key `limits` in agent.yml over the given limits. All faults
// are given at once, each with its line.
func Read(file string, value *yaml.Node, limits *Limits) error {
	if value.Kind != yaml.MappingNode {
		return fault.New(fault.Place{File: file, Line: value.Line}, "write one limit a line below `limits:`", "limits is not a mapping")
	}
	known := map[string]limit{}
	for _, one := range limits.all() {
		known[one.name] = one
	}
	seen := map[string]bool{}
	var faults []error
	for i := 0; i+1 < len(value.Content); i += 2 {
		key, content := value.Content[i], value.Content[i+1]
		one, ok := known[key.Value]
		at := fault.Place{File: file, Line: key.Line, Column: key.Column}
		switch {
		case !ok:
			names := make([]string, 0, len(known))
			for name := range known {
				names = append(names, name)
			}
			hint := "packaging/agent.yml lists the limits"
			if near := fault.Nearest(key.Value, names); near != "" {
				hint = fmt.Sprintf("did you mean %s? %s", near, hint)
			}
			faults = append(faults, fault.New(at, hint, "unknown limit %q", key.Value))
		case seen[key.Value]:
			faults = append(faults, fault.New(at, "keep one of them", "limits.%s is set twice", key.Value))
		case content.Kind != yaml.ScalarNode:
			faults = append(faults, fault.New(at, "write one value", "limits.%s does not take a list or a mapping", key.Value))
		default:
			if err := one.set(content.Value); err != nil {
				faults = append(faults, fault.New(at, fault.Hint(err), "limits.%s: %w", key.Value, err))
			}
		}
		seen[key.Value] = true
	}
	return errors.Join(faults...)
}

// ErrExceeded is the cause of every error about a limit. A retry does not help.
var ErrExceeded = errors.New("limit exceeded")

// Exceeded gives the error about something at a place that is more than the named limit
// allows, such as "the file has" 5MiB.
func Exceeded[T any](place fault.Place, name, what string, measured, allowed T) error {
	return exceeded(place, name, fmt.Sprintf("%s %v", what, measured), allowed)
}

// Over gives the same error if how much it is cannot be known without reading more of it.
func Over[T any](place fault.Place, name, what string, allowed T) error {
	return exceeded(place, name, fmt.Sprintf("%s more than %v", what, allowed), allowed)
}

func exceeded(place fault.Place, name, measured string, allowed any) error {
	return &fault.Error{
		Place:   place,
		Message: fmt.Sprintf("%s: limits.%s allows %v", measured, name, allowed),
		Hint:    fmt.Sprintf("make it smaller, or raise %s below `limits:` in the node's agent.yml, and restart the agent, which then judges it again", name),
		Err:     ErrExceeded,
	}
}

// Within gives nil, or the error about a number or size that is more than the limit allows.
func Within[T cmp.Ordered](place fault.Place, name, what string, measured, allowed T) error {
	if measured <= allowed {
		return nil
	}
	return Exceeded(place, name, what, measured, allowed)
}
