package compose

import (
	"context"
	"errors"
	"fmt"

	composego "github.com/compose-spec/compose-go/v2/loader"
	composetypes "github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v3"

	"coin.internal/coin-agent/internal/fault"
)

// model reads one compose file by the Compose specification (interpolation,
// anchors, extends) and gives the dictionary that the docker CLI's loader takes.
func (r *renderer) model(s *source) (map[string]any, error) {
	if place := s.place("include"); place.Line > 0 {
		return nil, fault.New(place, "list the file under nodes[].compose_files in config.yml", "include is not supported")
	}
	if err := s.extendsFile(); err != nil {
		return nil, err
	}
	details := composetypes.ConfigDetails{
		WorkingDir:  "/" + r.node.Dir,
		Environment: composetypes.Mapping{},
	}
	try := func(file composetypes.ConfigFile) (dict map[string]any, err error) {
		file.Filename = s.path
		details.ConfigFiles = []composetypes.ConfigFile{file}
		err = guard(func() error {
			dict, err = composego.LoadModelWithContext(context.TODO(), details, r.modelOptions(s)) //nolint:forbidigo // nothing is fetched, so nothing can be cancelled
			return err
		})
		return dict, err
	}
	dict, err := try(composetypes.ConfigFile{Content: s.data})
	if err != nil {
		return nil, s.blame(s.plain, err, func(part map[string]any) error {
			_, err := try(composetypes.ConfigFile{Config: part})
			return err
		})
	}
	plain, err := plainDict(dict)
	if err != nil {
		return nil, fault.New(fault.Place{File: s.path}, "", "read compose file: %w", err)
	}
	return plain, r.adapt(s, plain)
}

func (r *renderer) modelOptions(s *source) func(*composego.Options) {
	return func(o *composego.Options) {
		o.SetProjectName("stack", true) // the stack's own name may be one that Compose refuses
		o.SkipNormalization = true
		o.SkipDefaultValues = true
		o.SkipConsistencyCheck = true
		o.SkipResolveEnvironment = true
		o.SkipInclude = true
		o.ResolvePaths = false
		o.Interpolate.LookupValue = r.variables.lookup
		o.Interpolate.Substitute = r.variables.substitute
		o.MaxNodeVisits = 1 + len(s.data) // each node is visited once, and takes a byte at least
		o.ResourceLoaders = append(o.ResourceLoaders, noFiles{})
	}
}

// extendsFile refuses a service that extends one of another file.
func (s *source) extendsFile() error {
	var faults []error
	_, services := lookup(s.root, "services")
	for name, service := range pairs(services) {
		_, extends := lookup(service, "extends")
		if file := scalarAt(extends, "file"); file != "" {
			faults = append(faults, fault.New(s.place("services", name, "extends", "file"),
				"put the service that it extends into the same file", "service %s: extends from another file is not supported", name))
		}
	}
	return errors.Join(faults...)
}

// noFiles keeps compose-go from reading files by itself.
type noFiles struct{}

var errOtherFile = errors.New("other files are not read")

func (noFiles) Accept(string) bool                           { return true }
func (noFiles) Load(context.Context, string) (string, error) { return "", errOtherFile }
func (noFiles) Dir(string) string                            { return "." }

// plainDict turns compose-go's mixture of types into maps, lists and scalars.
func plainDict(dict map[string]any) (map[string]any, error) {
	data, err := yaml.Marshal(dict)
	if err != nil {
		return nil, fmt.Errorf("marshal model: %w", err)
	}
	plain := map[string]any{}
	if err := yaml.Unmarshal(data, &plain); err != nil {
		return nil, fmt.Errorf("unmarshal model: %w", err)
	}
	return plain, nil
}
