// 用量与配额页。

export default {
  "usage.lead": "每个人已用的配额。GET /api/usage 提供同样的数据；用 PATCH /api/tokens/{id} 可为某人单独设置配额。",
  "usage.leadDeveloper": "你已用的配额。需要更多请联系管理员。",
  "usage.exempt": "不受配额限制",
  "usage.servers": "服务器",
  "usage.memory": "运行中服务器的内存",
  "usage.stored": "存储",
  "usage.tokens": "创建的令牌",
  "usage.writes": "一分钟内的更改",
  "usage.of": "{used} / {limit}",
  "usage.maxima": "任何一台服务器最多可用内存 {memory}、CPU {cpus} 个、进程 {pids} 个、存储 {storage}。",
};
