package compose

// The rules for keys of the Compose specification that Swarm does not support. The first
// text completes the warning or error, which starts with the key. The second is the hint.

const (
	noLimit     = "its tasks would run without it"
	limitCPUs   = "write deploy.resources.limits.cpus"
	limitMemory = "write deploy.resources.limits.memory"
	noSetting   = "Swarm does not have this setting"
	remove      = "remove it"
	external    = "create the network by hand, and set external: true"
)

var topRules = map[string]rule{
	"models": {refused, "services could not connect to their models", "run the model as a service, or set its address in environment", ""},
	"jobs":   {refused, "the jobs would not run", "write a service with deploy.mode: replicated-job", ""},

	"networks.*.enable_ipv4":               {refused, "the network would still have IPv4", remove, "true"},
	"networks.*.enable_ipv6":               {refused, "the network would not have IPv6", external, "false"},
	"networks.*.ipam.options":              {refused, "the IPAM driver would not get them", external, ""},
	"networks.*.ipam.config.gateway":       {refused, "Swarm would choose another address", external, ""},
	"networks.*.ipam.config.ip_range":      {refused, "Swarm would use addresses from the whole subnet", external, ""},
	"networks.*.ipam.config.aux_addresses": {refused, "Swarm would assign these addresses to tasks", external, ""},

	"secrets.*.environment": {refused, "the value would not be encrypted", "store the value in secrets.enc", ""},
	"configs.*.environment": {refused, "Swarm does not read configs from the environment", "write `content: $NAME`, with NAME in node.env", ""},
}

// serviceRules has the rules for the keys of a service.
var serviceRules = map[string]rule{
	// Containers, their rights and their life cycle.
	"annotations":         {dropped, "Swarm does not pass annotations to the runtime", "use labels", ""},
	"attach":              {dropped, "the agent does not show the output of services", "use docker service logs", "true"},
	"build":               {dropped, "the agent does not build images; it deploys the one in image", "build and push it in the pipeline", ""},
	"cgroup":              {dropped, "the engine's default-cgroupns-mode applies", "set default-cgroupns-mode on the engine", ""},
	"cgroup_parent":       {dropped, "the engine's cgroup-parent applies", "set cgroup-parent on the engine", ""},
	"container_name":      {dropped, "Swarm names the containers itself, after service and task", "use the service's name to connect", ""},
	"depends_on":          {dropped, "Swarm starts services in any order", "wait in the program for the services that it needs", ""},
	"develop":             {dropped, "only docker compose watch uses it", remove, ""},
	"device_cgroup_rules": {refused, "its tasks would not have access to the devices", "run the service outside Swarm", ""},
	"devices":             {dropped, "its tasks do not have access to them", "bind-mount the devices, or run the service outside Swarm", ""},
	"domainname":          {dropped, noSetting, "write the full name in hostname", ""},
	"expose":              {dropped, "services in the same network can connect to all ports", remove, ""},
	"external_links":      {dropped, "its tasks cannot resolve these names", "connect both services to an external network", ""},
	"gpus":                {refused, "its tasks would not have a GPU", "write deploy.resources.reservations.generic_resources", ""},
	"ipc":                 {dropped, "each task has separate shared memory", remove, "private"},
	"links":               {dropped, "services in the same network can use each other's names, but not the aliases in links", "use aliases under networks", ""},
	"mac_address":         {dropped, "Swarm chooses the address", remove, ""},
	"models":              {refused, "its tasks could not connect to the model", "set the model's address in environment", ""},
	"oom_kill_disable":    {refused, "the kernel would still kill its tasks", "write deploy.resources.reservations.memory", "false"},
	"oom_score_adj":       {dropped, "the kernel treats its tasks like others when memory runs out", "write deploy.resources.reservations.memory", "0"},
	"pid":                 {dropped, "each task sees only its own processes", remove, ""},
	"platform":            {refused, "Swarm would use any node with a platform that the image supports", "write deploy.placement.constraints: [node.platform.arch == x86_64]", ""},
	"post_start":          {refused, "the command would not run", "add the command to the entrypoint", ""},
	"pre_start":           {refused, "the command would not run", "add the command to the entrypoint", ""},
	"pre_stop":            {refused, "the command would not run", "run the command in the program when it gets stop_signal", ""},
	"privileged":          {dropped, "its tasks run without privileges", "use cap_add, or run the service outside Swarm", "false"},
	"provider":            {refused, "the service would not exist", "write a service with an image", ""},
	"pull_policy":         {dropped, "a node pulls an image only if it is missing", "set images.resolve in config.yml to choose when a tag is resolved", "missing"},
	"pull_refresh_after":  {dropped, "a node pulls an image only if it is missing", "set images.resolve in config.yml to choose when a tag is resolved", ""},
	"runtime":             {refused, "its tasks would use the engine's default runtime", "set default-runtime on the engines, and remove it", ""},
	"scale":               {refused, "deploy.replicas sets the number of tasks", "write deploy.replicas", ""},
	"security_opt":        {dropped, "its tasks use the engine's default profiles", "set no-new-privileges and seccomp-profile on the engine", ""},
	"storage_opt":         {refused, noLimit, "set it on the engine", ""},
	"tmpfs":               {dropped, "the path is in the container's file system", "write volumes: [{type: tmpfs, target: PATH}]", ""},
	"umask":               {refused, "files would have different permissions", "set it in the entrypoint", ""},
	"use_api_socket":      {refused, "its tasks could not connect to the engine", "bind-mount the engine's socket, which gives full control of the engine", "false"},
	"userns_mode":         {dropped, "the engine's userns-remap applies", remove, ""},
	"uts":                 {refused, "each task would have a separate host name", "write hostname", ""},
	"volumes_from":        {refused, "its tasks would not have the files", "mount a named volume in both services", ""},

	// Limits and shares of a container. Swarm supports some of them under deploy.resources.
	"blkio_config":                          {refused, noLimit, remove, ""},
	"cpu_count":                             {refused, noLimit, limitCPUs, ""},
	"cpu_percent":                           {refused, noLimit, limitCPUs, ""},
	"cpu_period":                            {refused, noLimit, limitCPUs, ""},
	"cpu_quota":                             {refused, noLimit, limitCPUs, ""},
	"cpu_rt_period":                         {refused, noLimit, limitCPUs, ""},
	"cpu_rt_runtime":                        {refused, noLimit, limitCPUs, ""},
	"cpu_shares":                            {refused, noLimit, "write deploy.resources.reservations.cpus", ""},
	"cpus":                                  {refused, noLimit, limitCPUs, ""},
	"cpuset":                                {refused, noLimit, limitCPUs, ""},
	"mem_limit":                             {refused, noLimit, limitMemory, ""},
	"mem_reservation":                       {refused, noLimit, "write deploy.resources.reservations.memory", ""},
	"mem_swappiness":                        {refused, noLimit, "set it on the node", ""},
	"memswap_limit":                         {refused, noLimit, limitMemory, ""},
	"pids_limit":                            {refused, noLimit, "write deploy.resources.limits.pids", ""},
	"shm_size":                              {dropped, "/dev/shm has 64 MB", "write volumes: [{type: tmpfs, target: /dev/shm, tmpfs: {size: 268435456}}]", ""},
	"deploy.resources.reservations.devices": {refused, "its tasks would not have the devices", "write deploy.resources.reservations.generic_resources", ""},

	// The keys of ports, networks and mounts.
	"ports.app_protocol": {dropped, noSetting, remove, ""},
	"ports.name":         {dropped, "ports do not have names in Swarm", remove, ""},

	"networks.*.gw_priority":            {refused, "Swarm would choose the network of the default route", "use only one network with external access", "0"},
	"networks.*.interface_name":         {refused, "the interface would have a different name", "find it in the program by its address", ""},
	"networks.*.ipv4_address":           {dropped, "Swarm assigns the addresses of tasks", "use the service's name to connect", ""},
	"networks.*.ipv6_address":           {dropped, "Swarm assigns the addresses of tasks", "use the service's name to connect", ""},
	"networks.*.link_local_ips":         {refused, "its tasks would not have these addresses", "use the service's name to connect", ""},
	"networks.*.mac_address":            {refused, "Swarm would choose the address", remove, ""},
	"networks.*.priority":               {refused, "Swarm would choose the order of the networks", remove, "0"},
	"networks.*.use_service_name_alias": {refused, "the service's name would still be an alias", remove, "true"},

	"volumes.image":          {refused, "Swarm does not mount images", "copy the files into the service's image, or into a volume", ""},
	"volumes.bind.recursive": {refused, "mounts below the path would be included, and would not be read-only", "bind-mount the paths one by one", "enabled"},
	"volumes.bind.selinux":   {dropped, "the files keep their SELinux label", "label them on the node with chcon -t container_file_t", ""},
	"volumes.volume.labels":  {refused, "the volume would not have labels", "name the volume, and label it under the top-level volumes", ""},
}
