package rollout

import (
	"cmp"
	"maps"
	"slices"

	api "github.com/docker/docker/api/types/swarm"

	"coin.internal/coin-agent/agent/record"
	"coin.internal/coin-agent/compose"
	"coin.internal/coin-agent/deploy"
)

// deployment gives what the rendered stack deploys, beside what runs now.
func deployment(a *attempt, live *deploy.Live) *record.Deployment {
	d := &record.Deployment{Agent: a.use.Version, Services: images(live, a.stack)}
	if a.desired != nil { // a good state may have been recorded without its files
		node := a.desired.Node
		d.TaskID, d.PipelineID = node.Variables["TASK_ID"].Value, node.Variables["PIPELINE_ID"].Value
		d.Nodes = slices.Clone(node.Config.Order())
		entry, _ := node.Config.Node(a.use.Node.Node)
		d.URL = entry.URL
	}
	secrets, configs := map[string]*record.Version{}, map[string]*record.Version{}
	for _, secret := range a.stack.Secrets {
		secrets[secret.Spec.Name] = &record.Version{Name: secret.Spec.Name, Key: secret.Key}
	}
	for _, config := range a.stack.Configs {
		configs[config.Spec.Name] = &record.Version{Name: config.Spec.Name, Key: config.Key}
	}
	for _, service := range slices.Sorted(maps.Keys(a.stack.Services)) {
		container := a.stack.Services[service].TaskTemplate.ContainerSpec
		if container == nil {
			continue
		}
		for _, reference := range container.Secrets {
			useVersion(secrets, reference.SecretName, service)
		}
		for _, reference := range container.Configs {
			useVersion(configs, reference.ConfigName, service)
		}
	}
	d.Secrets, d.Configs = sortedVersions(secrets), sortedVersions(configs)
	return d
}

// images gives the images that the services are to run, and those that they ran before.
func images(live *deploy.Live, want *compose.Stack) []record.Image {
	list := make([]record.Image, 0, len(want.Services))
	for _, name := range slices.Sorted(maps.Keys(want.Services)) {
		image := record.Image{Service: name, Image: imageIn(want.Services[name])}
		if service, there := live.Services[name]; !there {
			image.New = true
		} else if before := imageIn(service.Spec); before != image.Image {
			image.Before = before
		}
		list = append(list, image)
	}
	return list
}

func imageIn(spec api.ServiceSpec) string {
	if spec.TaskTemplate.ContainerSpec == nil {
		return ""
	}
	return spec.TaskTemplate.ContainerSpec.Image
}

// useVersion notes that a service uses a secret or config, an external one too.
func useVersion(versions map[string]*record.Version, name, service string) {
	if versions[name] == nil {
		versions[name] = &record.Version{Name: name}
	}
	if by := versions[name].By; len(by) == 0 || by[len(by)-1] != service {
		versions[name].By = append(by, service)
	}
}

func sortedVersions(versions map[string]*record.Version) []record.Version {
	list := make([]record.Version, 0, len(versions))
	for _, version := range versions {
		list = append(list, *version)
	}
	slices.SortFunc(list, func(a, b record.Version) int { return cmp.Compare(a.Name, b.Name) })
	return list
}
