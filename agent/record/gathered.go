package record

import (
	"slices"

	"coin.internal/coin-agent/internal/texts"
)

// GatherSync gives a copy of a sync that stays in memory: its texts about services, secrets and configs
// are side by side.
func GatherSync(sync *Sync) *Sync {
	if sync.Deployment == nil {
		return sync
	}
	copied, deployment := *sync, *sync.Deployment
	copied.Deployment = &deployment
	var all []*string
	deployment.Services = slices.Clone(deployment.Services)
	for i := range deployment.Services {
		one := &deployment.Services[i]
		all = append(all, &one.Service, &one.Image, &one.Before)
	}
	for _, versions := range []*[]Version{&deployment.Secrets, &deployment.Configs} {
		*versions = slices.Clone(*versions)
		for i := range *versions {
			one := &(*versions)[i]
			one.By = slices.Clone(one.By)
			all = append(append(all, &one.Name, &one.Key), each(one.By)...)
		}
	}
	texts.Together(all)
	return &copied
}

// GatherGood gives a copy of a good state that stays in memory: its texts about services, secrets and
// configs are side by side. A nil state gives nil.
func GatherGood(good *GoodState) *GoodState {
	if good == nil {
		return nil
	}
	copied := *good
	var all []*string
	for _, objects := range []*[]Object{&copied.Secrets, &copied.Configs} {
		*objects = slices.Clone(*objects)
		for i := range *objects {
			one := &(*objects)[i]
			all = append(all, &one.Name, &one.Key, &one.Vault.Path)
		}
	}
	if good.Soak != nil {
		soak := *good.Soak
		soak.Services = slices.Clone(soak.Services)
		copied.Soak, all = &soak, append(all, each(soak.Services)...)
	}
	texts.Together(all)
	return &copied
}

// each gives the texts of a list.
func each(list []string) []*string {
	all := make([]*string, len(list))
	for i := range list {
		all[i] = &list[i]
	}
	return all
}
