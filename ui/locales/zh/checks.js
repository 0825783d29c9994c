// As codes.js, for what is found by the check of the code ("problem") and by the
// test of a connection ("step"): not needed before a page of a server is shown.

export default {
  "problem.module_not_available": "镜像中没有模块 {module}。请联系管理员添加 {distribution}，或改用其他方式；您自己项目中的其他文件不会随此文件上传。",
  "problem.relative_import": "相对导入找不到任何模块：只上传了这一个文件，没有它旁边的模块。",
  "problem.entry_not_found": "没有名为 {entry_object} 的对象，但有 {found}。请把入口对象改为要提供服务的那一个。",
  "problem.no_entry": "文件没有创建 MCP 服务器；例如需要 {entry_object} = FastMCP(...)。",

  "step.traefik_found": "Traefik 位于 {address}。",
  "step.traefik_silent": "Traefik 最近没有来取路由。请检查它是否在运行，并查看其日志。",
  "step.no_port": "“{https_address}”中没有端口。",
  "step.certificate_valid": "{host} 的证书有效。",
  "step.ca_unreadable": "无法读取本地证书机构：{detail}",
  "step.no_connection": "无法建立连接：{detail}",
  "step.gate_shut": "没有令牌的请求会被网关拒绝，符合预期。",
  "step.gate_open": "没有令牌的请求得到了 {status}，网关本应返回 401。",
  "step.initialized": "“{server_name}”已应答，MCP 版本 {protocol_version}。",
  "step.refused": "EMCP 没有放行（{refusal}）：{message}",
  "step.mcp_failed": "服务器没有按 MCP 应答：{detail}",
  "step.tools_listed": "共 {tools} 个工具。",
  "step.tools_listed_in_part": "读取了 {tools} 个工具，服务器还有更多，超出了 EMCP 读取的上限。",
  "step.not_reached": "未执行到这一步。",
};
