package compose

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/internal/limits"
)

// budget is how much the compose files of a node may still become. Aliases, extends,
// includes, variables and ranges of ports make much of little, and the libraries build all
// of it. The first thing over a limit is exceeded, and nothing more is read.
type budget struct {
	limits   limits.Limits
	values   int          // keys, values and variables of all files
	source   limits.Bytes // of all files
	bytes    limits.Bytes // that variables and named files add to them
	ports    int          // in ranges of ports
	exceeded error
}

// refuse notes the first error about a limit.
func (b *budget) refuse(err error) error {
	if b.exceeded == nil {
		b.exceeded = err
	}
	return err
}

// document takes a parsed file.
func (b *budget) document(s *source) error {
	shape, err := b.limits.Document(s.path, s.root)
	if err != nil {
		return b.refuse(err)
	}
	place := fault.Place{File: s.path}
	if err := b.more(place, shape.Values); err != nil {
		return err
	}
	b.source += limits.Bytes(len(s.data))
	if err := limits.Within(place, "stack_bytes", "all compose files have", b.source, b.limits.StackBytes); err != nil {
		return b.refuse(err)
	}
	return b.texts(s, s.root)
}

// more takes keys and values.
func (b *budget) more(place fault.Place, count int) error {
	if b.values += count; b.values > b.limits.YAMLValues {
		return b.refuse(limits.Over(place, "yaml_values", "the number of keys, values and variables, with what repeats them, is", b.limits.YAMLValues))
	}
	return nil
}

// texts refuses scalars, also keys, whose variables take too long to replace.
func (b *budget) texts(s *source, node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		return b.limits.Interpolation(fault.Place{File: s.path, Line: node.Line}, node.Value)
	}
	for _, child := range node.Content {
		if err := b.texts(s, child); err != nil {
			return b.refuse(err)
		}
	}
	return nil
}

// extended takes what extends repeats: each service has the values of all services that it
// extends.
func (b *budget) extended(all []*source) error {
	known := map[base]int{}
	var values func(of base, depth int) int
	values = func(of base, depth int) int {
		if sum, ok := known[of]; ok || depth > maxFiles { // a circle is refused elsewhere
			return sum
		}
		sum := 0
		if body := of.source.service(of.service); body != nil {
			sum = limits.ShapeOf(body).Values
		}
		if next, ok := of.source.bases[of.service]; ok {
			sum += values(next, depth+1)
		}
		known[of] = sum
		return sum
	}
	for _, s := range all {
		for service, of := range s.bases {
			if err := b.more(s.place("services", service, "extends"), values(of, 0)); err != nil {
				return err
			}
		}
	}
	return nil
}

// services takes the services of a file.
func (b *budget) services(place fault.Place, count int) error {
	if err := limits.Within(place, "services", "the number of services is", count, b.limits.Services); err != nil {
		return b.refuse(err)
	}
	return nil
}

// replaced takes a text whose variables were replaced.
func (b *budget) replaced(before, after string) error {
	size := limits.Bytes(len(after))
	if before != after {
		if size > b.limits.ValueBytes {
			return b.refuse(limits.Exceeded(fault.Place{}, "value_bytes", "a value has, after its variables are replaced,", size, b.limits.ValueBytes))
		}
		if err := b.copied(fault.Place{}, size); err != nil {
			return err
		}
	}
	b.ports += portsIn(after)
	if b.ports > b.limits.Ports {
		return b.refuse(limits.Over(fault.Place{}, "ports", "the ranges of ports have", b.limits.Ports))
	}
	return nil
}

// copied takes what is copied into the stack.
func (b *budget) copied(place fault.Place, size limits.Bytes) error {
	if b.bytes += size; b.bytes > b.limits.StackBytes {
		return b.refuse(limits.Over(place, "stack_bytes", "the values of the stack have", b.limits.StackBytes))
	}
	return nil
}

// model refuses a model whose texts are too large together.
func (b *budget) model(file string, model any) error {
	if size := textsIn(model); size > b.limits.StackBytes {
		return b.refuse(limits.Exceeded(fault.Place{File: file}, "stack_bytes", "the values of the file, with what extends repeats, have", size, b.limits.StackBytes))
	}
	return nil
}

// in gives the error about the first limit, with the file if it has no place.
func (b *budget) in(s *source) error {
	if found, ok := errors.AsType[*fault.Error](b.exceeded); ok && found.Place == (fault.Place{}) {
		found.Place.File = s.path
	}
	return b.exceeded
}

// textsIn gives the size of all texts in a model.
func textsIn(model any) (size limits.Bytes) {
	switch model := model.(type) {
	case string:
		return limits.Bytes(len(model))
	case map[string]any:
		for key, value := range model {
			size += limits.Bytes(len(key)) + textsIn(value)
		}
	case []any:
		for _, value := range model {
			size += textsIn(value)
		}
	}
	return size
}

// portRange matches a range in a text that can be a port, such as 127.0.0.1:80-90:8080/tcp.
var portRange = regexp.MustCompile(`(?:^|:)(\d{1,5})-(\d{1,5})(?:[:/]|$)`)

// portsIn gives how many ports the ranges in a text have.
func portsIn(text string) int {
	if len(text) > 200 || !strings.Contains(text, "-") {
		return 0
	}
	most := 0
	for _, match := range portRange.FindAllStringSubmatch(text, -1) {
		first, _ := strconv.Atoi(match[1]) // digits
		last, _ := strconv.Atoi(match[2])
		most = max(most, last-first)
	}
	return most
}

// assigned matches the names that a line of an env_file of an include can set, and mentioned
// those that it can mention.
var (
	assigned  = regexp.MustCompile(`([A-Za-z0-9_]+)\s*[=:]`)
	mentioned = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)
)

// settings refuses an env_file of an include whose values repeat earlier ones until they are
// too large. It gives each name at least the size that it can get: a value with an open quote
// counts to the end of the file.
func (b *budget) settings(file, text string, outer func(string) (string, bool)) error {
	if err := b.limits.Shell(fault.Place{File: file}, []byte(text)); err != nil {
		return b.refuse(err)
	}
	if err := b.limits.Interpolation(fault.Place{File: file}, text); err != nil {
		return b.refuse(err)
	}
	sizes, open, place := map[string]int{}, map[string]bool{}, fault.Place{File: file}
	for line := range strings.Lines(text) {
		place.Line++
		size := len(line)
		for _, match := range mentioned.FindAllStringSubmatch(line, -1) {
			if value, ok := outer(match[1]); ok {
				size += len(value)
			}
			size += sizes[match[1]]
		}
		for name := range open {
			sizes[name] += size
		}
		for _, match := range assigned.FindAllStringSubmatch(line, -1) {
			sizes[match[1]] = max(sizes[match[1]], size)
		}
		if match := assigned.FindStringSubmatch(line); match != nil && strings.Count(line, `"`)%2 == 1 {
			open[match[1]] = true
		}
		if limits.Bytes(size) > b.limits.ValueBytes {
			return b.refuse(limits.Over(place, "value_bytes", "a value of the file has", b.limits.ValueBytes))
		}
	}
	return nil
}
