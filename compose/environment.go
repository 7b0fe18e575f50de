package compose

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"

	"github.com/docker/cli/pkg/kvfile"

	"coin.internal/coin-agent/internal/fault"
)

// adaptEnvironment reads the env_file lists of a service, raw as `docker stack
// deploy` reads them, and puts them under `environment`, which wins. A bare name
// takes its value from the interpolation variables, never from the process.
func (r *renderer) adaptEnvironment(s *source, name string, service map[string]any) error {
	files := list(service["env_file"])
	delete(service, "env_file")
	now := settings{own: pairsOf(service["environment"]), files: map[string]string{}}
	r.settings[settingsOf{s, name}] = now
	if len(files) == 0 {
		return nil
	}
	var faults []error
	for _, item := range files {
		place := s.place("services", name, "env_file")
		lines, err := r.envFile(place, "env_file", mapping(item))
		faults = append(faults, err)
		for _, line := range lines {
			key, value, _ := strings.Cut(line, "=")
			now.files[key] = value
		}
		if format := mapping(item)["format"]; !isEmpty(format) && format != "raw" {
			faults = append(faults, fault.New(place, "write format: raw, or remove it", "service %s: env_file has the format %v, and is read raw", name, format))
		}
	}
	environment := map[string]any{}
	for key, value := range now.files {
		environment[key] = value
	}
	maps.Copy(environment, now.own)
	service["environment"] = environment
	return errors.Join(faults...)
}

// envFile gives the lines of a file that an item of the list under key names.
func (r *renderer) envFile(place fault.Place, key string, item map[string]any) ([]string, error) {
	resolved, err := r.resolve(fmt.Sprint(item["path"]), place)
	if err != nil {
		return nil, err
	}
	if err := r.notSecret(place, resolved); err != nil {
		return nil, err
	}
	data, err := fs.ReadFile(r.node.FS, resolved)
	if errors.Is(err, fs.ErrNotExist) {
		if required, ok := item["required"].(bool); ok && !required {
			return nil, nil
		}
		hint := "add the file, or correct its path"
		if key == "env_file" {
			hint = "add the file, or mark it `required: false`"
		}
		return nil, fault.New(place, hint, "the %s %s is not there", key, resolved)
	}
	if err != nil {
		return nil, fault.New(place, fault.Hint(err), "read %s: %w", key, err)
	}
	lines, err := kvfile.ParseFromReader(strings.NewReader(string(data)), r.variables.lookup)
	if err != nil {
		return nil, r.badLine(resolved, data)
	}
	return lines, nil
}

// badLine finds the line of an env_file that cannot be read. The library's error
// would show its content.
func (r *renderer) badLine(file string, data []byte) error {
	place := fault.Place{File: file}
	for line := range strings.Lines(string(data)) {
		place.Line++
		if _, err := kvfile.ParseFromReader(strings.NewReader(line), r.variables.lookup); err != nil {
			break
		}
	}
	return fault.New(place, "write NAME=value in UTF-8, without export and without spaces around the name", "the line is no assignment")
}
