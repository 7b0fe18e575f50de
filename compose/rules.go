package compose

// What the Compose specification has and Swarm has not, in the words of the
// warning or error. The text after the key ends a sentence that starts with it.

const (
	noLimit     = "its tasks would run without it"
	limitCPUs   = "write deploy.resources.limits.cpus"
	limitMemory = "write deploy.resources.limits.memory"
	noSetting   = "Swarm has no such setting"
	remove      = "remove it"
)

var topRules = map[string]rule{
	"models": {refused, "no service would find its model", "run the model as a service, or name its address in environment", ""},
	"jobs":   {refused, "none of them would run", "write a service with deploy.mode: replicated-job", ""},

	"networks.*.enable_ipv4":               {refused, "the network would have IPv4 all the same", remove, "true"},
	"networks.*.enable_ipv6":               {refused, "the network would have no IPv6", "create the network with IPv6 by hand and mark it external", "false"},
	"networks.*.ipam.options":              {refused, "the driver of the addresses would not get them", "create the network by hand and mark it external", ""},
	"networks.*.ipam.config.gateway":       {refused, "Swarm would choose another address", "create the network by hand and mark it external", ""},
	"networks.*.ipam.config.ip_range":      {refused, "Swarm would take addresses of the whole subnet", "create the network by hand and mark it external", ""},
	"networks.*.ipam.config.aux_addresses": {refused, "Swarm would give these addresses to tasks", "create the network by hand and mark it external", ""},

	"secrets.*.environment": {refused, "a value in the clear", "keep the value in secrets.enc", ""},
	"configs.*.environment": {refused, "a config takes no value from the environment", "write `content: $NAME`, with NAME in node.env", ""},
}

// serviceRules are about what a container is and may do, and the life around it.
var serviceRules = map[string]rule{
	"annotations":         {dropped, "Swarm hands the runtime no annotations", "use labels", ""},
	"attach":              {dropped, "the agent shows no service's output", "read it with docker service logs", "true"},
	"build":               {dropped, "the image is built elsewhere, and deployed as image says", "build and push it in the pipeline", ""},
	"cgroup":              {dropped, "a task's control groups are as the engine's default-cgroupns-mode says", "set it on the engine", ""},
	"cgroup_parent":       {dropped, "a task's control group is below the engine's own", "set cgroup-parent on the engine", ""},
	"container_name":      {dropped, "Swarm names the containers itself, after service and task", "reach it by the service's name", ""},
	"depends_on":          {dropped, "Swarm starts services in any order", "let the program wait for what it needs", ""},
	"develop":             {dropped, "it is about docker compose watch only", remove, ""},
	"device_cgroup_rules": {refused, "its tasks would not reach the devices", "run it outside Swarm", ""},
	"devices":             {dropped, "its tasks see none of them", "bind-mount what can be mounted, or run it outside Swarm", ""},
	"domainname":          {dropped, noSetting, "write the whole name as hostname", ""},
	"expose":              {dropped, "services of one network reach each other on any port", remove, ""},
	"external_links":      {dropped, "the names in it mean nothing to its tasks", "join both to one external network", ""},
	"gpus":                {refused, "its tasks would see no GPU", "write deploy.resources.reservations.generic_resources", ""},
	"ipc":                 {dropped, "each task has shared memory of its own", remove, "private"},
	"links":               {dropped, "services of one network reach each other by name, and by no alias of links", "use aliases below networks", ""},
	"mac_address":         {dropped, "Swarm chooses the address", remove, ""},
	"models":              {refused, "its tasks would not find the model", "name the model's address in environment", ""},
	"oom_kill_disable":    {refused, "the kernel would end its tasks all the same", "write deploy.resources.reservations.memory", "false"},
	"oom_score_adj":       {dropped, "the kernel chooses among its tasks as among others", "write deploy.resources.reservations.memory", "0"},
	"pid":                 {dropped, "each task sees its own processes only", remove, ""},
	"platform":            {refused, "Swarm would take any node whose platform the image has", "write deploy.placement.constraints: [node.platform.arch == x86_64]", ""},
	"post_start":          {refused, "the command would not run", "make it part of the entrypoint", ""},
	"pre_start":           {refused, "the command would not run", "make it part of the entrypoint", ""},
	"pre_stop":            {refused, "the command would not run", "let the program do it when it gets its stop_signal", ""},
	"privileged":          {dropped, "its tasks run without privileges", "use cap_add, or run it outside Swarm", "false"},
	"provider":            {refused, "nothing would provide the service", "write a service with an image", ""},
	"pull_policy":         {dropped, "a node pulls the image that it does not have", "config.yml's images.resolve says when a tag is looked up", "missing"},
	"pull_refresh_after":  {dropped, "a node pulls the image that it does not have", "config.yml's images.resolve says when a tag is looked up", ""},
	"runtime":             {refused, "its tasks would run under the engine's default runtime", "set default-runtime on the engines, and remove it", ""},
	"scale":               {refused, "the number of tasks is deploy.replicas", "write deploy.replicas", ""},
	"security_opt":        {dropped, "its tasks run under the engine's default profiles", "set no-new-privileges and seccomp-profile on the engine", ""},
	"storage_opt":         {refused, noLimit, "set it on the engine", ""},
	"tmpfs":               {dropped, "the path is part of the container's own file system", "write volumes: [{type: tmpfs, target: PATH}]", ""},
	"umask":               {refused, "files would get other permissions", "set it in the entrypoint", ""},
	"use_api_socket":      {refused, "its tasks would not reach the engine", "bind-mount the engine's socket, knowing that it gives all rights", "false"},
	"userns_mode":         {dropped, "its tasks are mapped as userns-remap of the engine says", remove, ""},
	"uts":                 {refused, "each task would have a host name of its own", "write hostname", ""},
	"volumes_from":        {refused, "its tasks would not see the files", "name the volume in both services", ""},
}

// limitRules are about shares and limits of a container, which Swarm has below
// deploy.resources as far as it has them.
var limitRules = map[string]rule{
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
	"deploy.resources.reservations.devices": {refused, "its tasks would get no devices", "write deploy.resources.reservations.generic_resources", ""},
}

// partRules are about the parts of ports, networks and mounts.
var partRules = map[string]rule{
	"ports.app_protocol": {dropped, noSetting, remove, ""},
	"ports.name":         {dropped, "a port has no name in Swarm", remove, ""},

	"networks.*.gw_priority":            {refused, "Swarm would choose the network of the default route", "join one network only that leads out", "0"},
	"networks.*.interface_name":         {refused, "the interface would have another name", "let the program find it by its address", ""},
	"networks.*.ipv4_address":           {dropped, "Swarm gives its tasks addresses itself", "reach it by the service's name", ""},
	"networks.*.ipv6_address":           {dropped, "Swarm gives its tasks addresses itself", "reach it by the service's name", ""},
	"networks.*.link_local_ips":         {refused, "its tasks would not have these addresses", "reach it by the service's name", ""},
	"networks.*.mac_address":            {refused, "Swarm would choose the address", remove, ""},
	"networks.*.priority":               {refused, "Swarm would choose the order of the networks", remove, "0"},
	"networks.*.use_service_name_alias": {refused, "the service's name is an alias in any case", remove, "true"},

	"volumes.image":          {refused, "it mounts no image", "copy the files into the service's own image, or into a volume", ""},
	"volumes.bind.recursive": {refused, "mounts below the path would come along, and not be read-only", "bind-mount the paths one by one", "enabled"},
	"volumes.bind.selinux":   {dropped, "the files keep their SELinux label", "label them on the node with chcon -t container_file_t", ""},
	"volumes.volume.labels":  {refused, "the volume would have no labels", "name the volume, and label it under the top-level volumes", ""},
}
