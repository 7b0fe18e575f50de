// Package compose renders a node's compose files to engine specs: from a manifests.Node
// and its secrets it makes a Stack. It guarantees that `docker stack deploy` would send
// the same specs for the same files and variables (docs/parity.md lists the
// differences), and that the same input gives the same bytes. It does not use the
// clock, the network or the process's environment.
package compose

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/docker/cli/cli/compose/convert"
	"github.com/docker/cli/cli/compose/loader"
	composetypes "github.com/docker/cli/cli/compose/types"

	"coin.internal/coin-agent/internal/fault"
	"coin.internal/coin-agent/manifests"
	"coin.internal/coin-agent/secrets"
)

// Options say how Render treats values that it cannot know.
type Options struct {
	// AllowSealed renders without keys: encrypted versions count as 0. It is for checking
	// a repository, never for applying it.
	AllowSealed bool
	// AllowLive accepts secrets without a value in the repository. deploy.Diff checks
	// that Swarm has them.
	AllowLive bool
}

// Render makes the stack of node, with the secret values and versions in set. It
// returns all faults of the files joined, each with its file and line. The stack does
// not share memory with node.
func Render(node *manifests.Node, set *secrets.Set, options Options) (*Stack, error) {
	r := &renderer{
		node:      node,
		set:       set,
		options:   options,
		namespace: convert.NewNamespace(node.Stack),
		contents:  map[string]string{},
		extended:  map[baseKey]*source{},
		extras:    map[string]*extra{},
		settings:  map[settingsOf]settings{},
		inline:    map[settingsOf]string{},
	}
	r.setVariables()
	if err := r.readSources(); err != nil {
		return nil, err
	}
	if err := r.decideVersions(); err != nil {
		return nil, err
	}
	merged, err := r.load()
	if err != nil {
		return nil, err
	}
	stack, err := r.convert(merged)
	if err != nil {
		return nil, err
	}
	stack.Warnings = inOrder(append(slices.Clone(node.Warnings), r.warnings...))
	return stack, nil
}

// renderer is the state of one call of Render.
type renderer struct {
	node      *manifests.Node
	set       *secrets.Set
	options   Options
	namespace convert.Namespace

	sources   []*source // the node's compose files
	files     []*source // these, and all files that they include and extend
	extended  map[baseKey]*source
	variables *variables
	contents  map[string]string       // configs with inline content, by key
	extras    map[string]*extra       // by service
	settings  map[settingsOf]settings // environments of services, by file
	inline    map[settingsOf]string   // contents of configs, by file
	warnings  []*fault.Error
}

// load merges the node's compose files as `docker stack deploy` does: compose-go reads
// each file, and the docker CLI's loader merges them.
func (r *renderer) load() (*composetypes.Config, error) {
	details := composetypes.ConfigDetails{
		WorkingDir:  "/" + r.node.Dir,
		Environment: r.variables.environment(r.files),
	}
	models, faults := r.models()
	for i, source := range r.sources {
		if models[i] != nil {
			faults = append(faults, r.adapt(source, models[i]))
		}
		details.ConfigFiles = append(details.ConfigFiles, composetypes.ConfigFile{Filename: source.path, Config: models[i]})
	}
	if unset := unsetFaults(r.files); len(unset) > 0 {
		faults = unset // other faults may be caused by the empty values
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	r.warnings = append(r.warnings, unsetWarnings(r.files)...)
	for _, source := range r.files {
		r.warnOtherReadings(source)
	}
	r.warnMerges(details)
	merged, err := loadMerged(details)
	if err != nil {
		return nil, r.blameLoader(details, err)
	}
	slices.SortFunc(merged.Services, func(a, b composetypes.ServiceConfig) int { return strings.Compare(a.Name, b.Name) })
	return merged, r.aloneOnHost(merged.Services)
}

// models reads the node's compose files one by one, without services with inactive
// profiles. The model of a file that cannot be read is nil.
func (r *renderer) models() (models []map[string]any, faults []error) {
	for _, source := range r.sources {
		model, err := r.model(source)
		if err != nil {
			faults, model = append(faults, err), nil
		}
		models = append(models, model)
	}
	r.leaveOut(models)
	return models, faults
}

func loadMerged(details composetypes.ConfigDetails) (merged *composetypes.Config, err error) {
	err = guard(func() error {
		merged, err = loader.Load(details, func(o *loader.Options) { o.SkipInterpolation = true }, loader.WithDiscardEnvFiles)
		return err
	})
	return merged, err
}

// blameLoader finds the file and the part that the docker CLI's loader refuses.
func (r *renderer) blameLoader(details composetypes.ConfigDetails, err error) error {
	for i, file := range details.ConfigFiles {
		try := func(dict map[string]any) error {
			alone := details
			alone.ConfigFiles = []composetypes.ConfigFile{{Filename: file.Filename, Config: dict}}
			_, err := loadMerged(alone)
			return err
		}
		if one := try(file.Config); one != nil {
			return r.sources[i].blame(file.Config, one, try)
		}
	}
	message, hint := advise(plainMessage(err))
	return fault.New(fault.Place{File: r.sources[len(r.sources)-1].path}, hint, "merge with the earlier files: %s", message)
}

// wireImage returns the reference that the docker client sends: with a tag, and in its
// familiar form.
func wireImage(image string) (string, error) {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		if _, idErr := reference.ParseAnyReference(image); idErr == nil {
			return image, nil
		}
		return "", err
	}
	return reference.FamiliarString(reference.TagNameOnly(named)), nil
}

// resolve returns the repository path of a relative path in a compose file.
func (r *renderer) resolve(name string, place fault.Place) (string, error) {
	return manifests.Resolve(r.node.Dir, name, place)
}

func (r *renderer) warn(place fault.Place, hint, format string, args ...any) {
	r.warnings = append(r.warnings, fault.New(place, hint, format, args...))
}

// inOrder sorts warnings by place, and removes duplicates.
func inOrder(warnings []*fault.Error) []*fault.Error {
	slices.SortStableFunc(warnings, func(a, b *fault.Error) int {
		return cmp.Or(comparePlaces(a.Place, b.Place), strings.Compare(a.Message, b.Message))
	})
	return slices.CompactFunc(warnings, func(a, b *fault.Error) bool { return a.Place == b.Place && a.Message == b.Message })
}

func comparePlaces(a, b fault.Place) int {
	return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
}
