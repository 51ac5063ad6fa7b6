delete from system_settings where key like 'launches.%' or key like 'limits.%' or key like 'quotas.%' or key in ('api.trusted_proxies', 'logs.search_lines', 'exports.link_lifetime_s', 'accounts.erase_after_days') or sensitive;
drop table setting_history;
alter table system_settings drop column kind, drop column needs_restart, drop column rules, drop column default_value, drop column version, drop column sealed, drop column sensitive;
