package compose

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/docker/cli/cli/compose/loader"

	"coin.internal/coin-agent/internal/fault"
)

// guard converts a panic of a library to an error: the docker CLI's loader panics on
// values with an unexpected type.
func guard(call func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cannot read a value: %v", cause)
		}
	}()
	return call()
}

// blamed is a fault that a library finds in one of several files.
type blamed struct {
	err  *fault.Error
	file int
	keys []string // of what causes it in the file; none if that is not known
}

// blame converts a library's error about files that it merges to a fault with a place.
// It tries the files alone, in order. try loads the document of file i, or a part of it.
func blame(files []*source, documents []map[string]any, err error, try func(i int, part map[string]any) error) blamed {
	for i, s := range files {
		if one := try(i, documents[i]); one != nil {
			found := s.blame(documents[i], one, func(part map[string]any) error { return try(i, part) })
			found.file = i
			return found
		}
	}
	message, hint := advise(plainMessage(err))
	return blamed{err: fault.New(fault.Place{File: files[len(files)-1].path}, hint, "merge with the earlier files: %s", message)}
}

// blame converts a library's error about a file to a fault with a place. Most of these
// errors have no place, and the library reports a random one of several errors. So
// blame tries the parts of the file alone, in order.
func (s *source) blame(document map[string]any, err error, try func(map[string]any) error) blamed {
	keys, err := bisect(document, err, try)
	cause := keys
	message := strings.TrimPrefix(plainMessage(err), s.path+": ")
	if len(keys) > 1 && keys[0] == "services" { // compose-go uses the name x when it merges a service
		message = strings.Replace(message, "services.x.", "services."+keys[1]+".", 1)
	}
	if match := quotedField.FindStringSubmatch(message); match != nil {
		keys = append(keys, strings.Split(strings.ToLower(match[1]), ".")...)
	}
	place := s.placeOf(message)
	if within := s.place(keys...); place.Line == 0 {
		place = within
	}
	if first, _, _ := strings.Cut(message, " "); place.Line == 0 {
		place = s.place(first)
	}
	if match := unknownKey.FindStringSubmatch(message); match != nil {
		cause = strings.Split(strings.TrimPrefix(match[1]+"."+match[2]+match[3], "."), ".")
	}
	message, hint := advise(message)
	return blamed{err: fault.New(place, hint, "%s", message), keys: cause}
}

// bisect finds the first part of a compose file, such as a service or a network, that
// try refuses alone, and its error. If a single key of the part causes the error, it
// returns that key as well. If no part is refused alone, it returns the given error.
func bisect(dict map[string]any, err error, try func(map[string]any) error) ([]string, error) {
	for _, section := range slices.Sorted(maps.Keys(dict)) {
		parts := mapping(dict[section])
		for _, name := range slices.Sorted(maps.Keys(parts)) {
			alone := func(part any) error { return try(map[string]any{section: map[string]any{name: part}}) }
			err := alone(parts[name])
			if err == nil {
				continue
			}
			keys := []string{section, name}
			part := mapping(parts[name])
			for _, key := range slices.Sorted(maps.Keys(part)) {
				if one := alone(map[string]any{key: part[key]}); one != nil && plainMessage(one) == plainMessage(err) {
					return append(keys, key), err
				}
			}
			return keys, err
		}
	}
	return nil, err
}

// plainMessage returns a library's error on one line, without its prefixes.
func plainMessage(err error) string {
	message := strings.Join(strings.Fields(err.Error()), " ")
	if forbidden, ok := errors.AsType[*loader.ForbiddenPropertiesError](err); ok { // its text omits the property
		property := slices.Min(slices.Collect(maps.Keys(forbidden.Properties)))
		message = fmt.Sprintf("%s is not supported: %s", property, forbidden.Properties[property])
	}
	for _, noise := range []string{"validating", "error while interpolating", "decoding failed due to the following error(s):"} {
		if rest, ok := strings.CutPrefix(message, noise+" "); ok {
			message = rest
		}
	}
	return message
}

var (
	quotedField = regexp.MustCompile(`^'([A-Za-z_.]+)'`) // as mapstructure writes it: 'Deploy.Resources.Limits.memory'
	unknownKey  = regexp.MustCompile(`^(?:(\S+) )?(?:additional properties '([^']+)'.* not allowed|Additional property (\S+) is not allowed)$`)
	notSet      = regexp.MustCompile(`required variable (\w+) is missing a value`)
)

// advise rewrites messages that are hard to understand, and adds a hint.
func advise(message string) (better, hint string) {
	const spelling = "check its spelling, or start the key with x- if it is an extension"
	if path, ok := strings.CutSuffix(message, " false schema"); ok {
		return path + " is not a key of Compose", spelling
	}
	if match := unknownKey.FindStringSubmatch(message); match != nil {
		path := strings.TrimPrefix(match[1]+"."+match[2]+match[3], ".")
		if match[3] != "" { // an error of the docker CLI: compose-go accepts the key
			return path + " is a key of Compose that docker stack deploy does not support", "remove it, and use the settings of Swarm under deploy"
		}
		return path + " is not allowed here", spelling
	}
	if match := notSet.FindStringSubmatch(message); match != nil {
		return message, "set " + match[1] + " in node.env"
	}
	for _, known := range []struct{ part, hint string }{
		{"invalid interpolation format", "write $$ for a dollar sign, ${NAME} for a variable"},
		{"undefined network", "define it under the top-level networks, or correct its name"},
		{"undefined volume", "define it under the top-level volumes, or correct its name"},
		{"replicas can only be used", "remove replicas, or the mode"},
		{"Unknown mode", "use replicated, global, replicated-job or global-job"},
		{"unknown restart policy", "use no, always, on-failure[:attempts] or unless-stopped"},
		{"duration", "write a duration such as 1m30s"},
		{"rational number", "write a number such as 0.5"},
		{"invalid size", "write a size such as 64M"},
		{"closing quote", "close the quote"},
		{"not supported", "remove the key"},
		{"cannot extend service", "correct its name, or add file if the service is in another file"},
	} {
		if strings.Contains(message, known.part) {
			return message, known.hint
		}
	}
	return message, "see the Compose file reference: https://docs.docker.com/reference/compose-file/"
}
