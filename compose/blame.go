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

// guard turns a panic of a library into an error: docker/cli's loader panics on
// values of a type that it does not expect.
func guard(call func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("a value that cannot be read: %v", cause)
		}
	}()
	return call()
}

// blame makes a fault of what a library says about a file. Most of its errors
// name no place, and which of several it names is left to chance: so the parts
// of the file are tried alone, in order.
func (s *source) blame(dict map[string]any, err error, try func(map[string]any) error) error {
	keys, alone := bisect(dict, try)
	if alone == nil {
		alone = err
	}
	message := strings.TrimPrefix(plainMessage(alone), s.path+": ")
	if len(keys) > 1 && keys[0] == "services" { // compose-go calls each service x when it merges one
		message = strings.Replace(message, "services.x.", "services."+keys[1]+".", 1)
	}
	place := s.placeOf(message)
	if within := s.place(append(keys, fieldOf(message)...)...); place.Line == 0 {
		place = within
	}
	if first, _, _ := strings.Cut(message, " "); place.Line == 0 {
		place = s.place(first)
	}
	message, hint := advise(message)
	return fault.New(place, hint, "%s", message)
}

// bisect finds the first part of a compose file that try refuses by itself: a
// service, network and so on, and the key in it when that alone is at fault.
func bisect(dict map[string]any, try func(map[string]any) error) (keys []string, err error) {
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
	return nil, nil
}

// plainMessage is a library's error on one line, without what only its own users
// need.
func plainMessage(err error) string {
	message := strings.Join(strings.Fields(describe(err)), " ")
	for _, noise := range []string{"validating", "error while interpolating", "decoding failed due to the following error(s):"} {
		if rest, ok := strings.CutPrefix(message, noise+" "); ok {
			message = rest
		}
	}
	return message
}

// describe adds to an error of the docker CLI what its text leaves out.
func describe(err error) string {
	var forbidden *loader.ForbiddenPropertiesError
	if !errors.As(err, &forbidden) {
		return err.Error()
	}
	property := slices.Min(slices.Collect(maps.Keys(forbidden.Properties)))
	return fmt.Sprintf("%s is not supported: %s", property, forbidden.Properties[property])
}

var (
	quotedField = regexp.MustCompile(`^'([A-Za-z_.]+)'`)
	unknownKey  = regexp.MustCompile(`^(?:(\S+) )?(?:additional properties '([^']+)'.* not allowed|Additional property (\S+) is not allowed)$`)
	notSet      = regexp.MustCompile(`required variable (\w+) is missing a value`)
)

// fieldOf gives the keys below a service that an error of mapstructure names,
// such as 'Deploy.Resources.Limits.memory'.
func fieldOf(message string) []string {
	if match := quotedField.FindStringSubmatch(message); match != nil {
		return strings.Split(strings.ToLower(match[1]), ".")
	}
	return nil
}

// advise rewords what is hard to understand, and knows the remedy.
func advise(message string) (better, hint string) {
	if path, ok := strings.CutSuffix(message, " false schema"); ok {
		return path + " is not a key that Compose knows", "check its spelling; keys of your own start with x-"
	}
	if match := unknownKey.FindStringSubmatch(message); match != nil {
		path := strings.TrimPrefix(match[1]+"."+match[2]+match[3], ".")
		if match[3] != "" { // the docker CLI says so: compose-go has taken it
			return path + " is a key of Compose that docker stack deploy does not take", "remove it; what Swarm has instead stands under deploy"
		}
		return path + " is not a key that can be used here", "check its spelling; keys of your own start with x-"
	}
	if match := notSet.FindStringSubmatch(message); match != nil {
		return message, "set " + match[1] + " in node.env"
	}
	for _, known := range []struct{ part, hint string }{
		{"invalid interpolation format", "write $$ for a dollar sign, ${NAME} for a variable"},
		{"undefined network", "declare it below networks:, or correct its name"},
		{"undefined volume", "declare it below volumes:, or correct its name"},
		{"replicas can only be used", "remove replicas, or the mode"},
		{"Unknown mode", "use replicated, global, replicated-job or global-job"},
		{"unknown restart policy", "use no, always, on-failure[:attempts] or unless-stopped"},
		{"duration", "write a duration such as 1m30s"},
		{"rational number", "write a number such as 0.5"},
		{"invalid size", "write a size such as 64M"},
		{"closing quote", "close the quote"},
		{"not supported", "remove the key"},
		{"cannot extend service", "correct its name; for a service of another file, name that with file"},
	} {
		if strings.Contains(message, known.part) {
			return message, known.hint
		}
	}
	return message, "the Compose file reference says what is valid here: https://docs.docker.com/reference/compose-file/"
}
