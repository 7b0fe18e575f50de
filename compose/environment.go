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

// adaptEnvironment adds the lines of a service's env_file list, read raw as `docker
// stack deploy` does, to `environment`, which takes precedence. A name without = gets
// the value of the interpolation variable, never that of the process's environment.
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
			faults = append(faults, fault.New(place, "write format: raw, or remove it", "service %s: env_file has the format %v, but is read raw", name, format))
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

// envFile returns the lines of the file that an item of the list at key names.
func (r *renderer) envFile(place fault.Place, key string, item map[string]any) ([]string, error) {
	resolved, err := r.resolve(fmt.Sprint(item["path"]), place)
	if err != nil {
		return nil, err
	}
	data, err := r.readNamed(place, key, resolved)
	if required, ok := item["required"].(bool); ok && !required && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	lines, err := kvfile.ParseFromReader(strings.NewReader(string(data)), r.variables.lookup)
	if err != nil {
		return nil, r.badLine(resolved, data)
	}
	return lines, nil
}

// badLine finds the invalid line of an env_file. The library's error would show its
// content.
func (r *renderer) badLine(file string, data []byte) error {
	place := fault.Place{File: file}
	for line := range strings.Lines(string(data)) {
		place.Line++
		if _, err := kvfile.ParseFromReader(strings.NewReader(line), r.variables.lookup); err != nil {
			break
		}
	}
	return fault.New(place, "write NAME=value in UTF-8, without export and without spaces around the name", "the line is not an assignment")
}
